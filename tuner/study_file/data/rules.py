"""Reading of the keys next to `objective.data`: split, preparation, task, and changes of images."""

from typing import Any

from tuner.study_file.data.prepare import PrepareRule
from tuner.study_file.data.sources import AnyData, IdxData, ImagesData, TableData
from tuner.study_file.data.split import SplitRule
from tuner.study_file.keys import read_record
from tuner.study_file.params.trainer_params import Task
from tuner.study_file.text.faults import listed
from tuner.study_file.text.items import Item, Section, read_entries, read_list, read_option
from tuner.study_file.text.yaml_nodes import ScalarNode

AUGMENTATIONS = ("flip", "crop")


def read_rules(section: Section, data: AnyData | None) -> dict[str, Any]:
    """Read split, preparation and task; values that have no effect on the data are faults."""
    rules: dict[str, Any] = {}
    if "split" in section:
        rules["split"] = read_record(section["split"], SplitRule, {})
        _check_split(section["split"], rules["split"], data)
    if "prepare" in section:
        rules["prepare"] = read_record(section["prepare"], PrepareRule, {})
        if isinstance(data, ImagesData | IdxData):
            section["prepare"].key_fault("has no effect on images; remove it")
    if "task" in section:
        rules["task"] = _read_task(section["task"], data)
    if "augment" in section:
        rules["augment"] = _read_augment(section["augment"])
    return rules


def _check_split(item: Item, split: SplitRule, data: AnyData | None) -> None:
    share = split.validation + (split.test if isinstance(split.test, float) else 0)
    if share >= 1:
        item.fault(f"leaves no rows for training: validation and test add up to {share:g}")
    if split.rule == "column":
        entries = read_entries(item, "") or {}
        for name in ("validation", "test"):
            if name in entries and isinstance(entries[name].node, ScalarNode):
                entries[name].key_fault("has no effect with `by: {column: ...}`; remove it")
    needs_table = split.column is not None or split.test_file is not None
    if needs_table and data is not None and not isinstance(data, TableData):
        item.fault("a column or a test file needs a table (csv, parquet); use shares instead")


def _read_task(item: Item, data: AnyData | None) -> Task | None:
    text = read_option(item, tuple(Task), what="task")
    known = data.task if data else None
    if text is not None and known is not None and text != known:
        item.fault(f"the data are for {known}; remove it")
    return Task(text) if text is not None else None


def _read_augment(item: Item) -> tuple[str, ...]:
    """Read the names of random changes."""
    items = read_list(item, f"must be a list of {listed(AUGMENTATIONS)}") or []
    names = [read_option(each, AUGMENTATIONS, what="change of images") for each in items]
    found = tuple(name for name in names if name is not None)
    if len(set(found)) < len(found):
        item.fault("names a change twice")
    return found


def check_images(section: Section, data: AnyData | None, model: str | None) -> None:
    """Report keys that need images where the data are known to be none."""
    if data is None or data.may_be_images:
        return
    if model == "cnn":
        section["model"].fault("cnn needs images, and these data are a table; use mlp")
    if "augment" in section:
        section["augment"].key_fault("needs images, and these data are a table; remove it")
