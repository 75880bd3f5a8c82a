"""`best.yaml`: the best config, read with the same care as a study file.

Keys are those of a study file, except `seed`, which is the trial's, and keys that only a trial has.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuner.errors import StudyFileError
from tuner.study.goal import Goal
from tuner.study.trial import Direction, ParamValue
from tuner.study_file.code_names import find_code_folder
from tuner.study_file.frozen import Model
from tuner.study_file.kinds.objective import MAX_RANKS
from tuner.study_file.kinds.table import AnyObjective, find_kind, written_code
from tuner.study_file.params.reading import read_params
from tuner.study_file.params.trainer_params import ANY_PARAMS
from tuner.study_file.sections import node_of, read_goal, read_name
from tuner.study_file.text.faults import Faults
from tuner.study_file.text.intervals import Interval
from tuner.study_file.text.items import Item, Keys, Section, read_int, read_section, read_text
from tuner.study_file.text.overrides import apply_override
from tuner.study_file.text.source import read_source
from tuner.study_file.text.yaml_nodes import ListNode, MapNode, Node, ScalarNode, compose

FORMAT = "tuner-best-1"
_KEYS = Keys(
    allowed=(
        "format",
        "name",
        "objective",
        "minimize",
        "maximize",
        "params",
        "seed",
        "data_seed",
        "best_epoch",
        "processes_per_trial",
        "weights",
        "provenance",
    ),
    hints={
        "epochs": "write it under params, as in params: {epochs: 100}",
        "search_space": "this is a study file for tuner run; tuner train reads an export",
    },
)
_REQUIRED = ("name", "objective", "params", "seed")
_SEEDS = Interval(low=0, high=2**32 - 1)
_SHA256 = 64  # characters


class Weights(Model):
    """The trial's own weights, in a file next to this one."""

    file: str
    sha256: str


class BestConfig(Model):
    """Everything that the final training needs, and its provenance."""

    name: str
    objective: AnyObjective
    metric: str
    direction: Direction
    params: Mapping[str, ParamValue]  # fixed and searched ones; the trainer's complete
    seed: int  # for weights and dropout
    data_seed: int  # for the order of the rows
    best_epoch: int | None = None  # the one with the best validation value; None: not known
    processes_per_trial: int = 1  # started by torchrun
    weights: Weights | None = None
    provenance: Mapping[str, Any] = {}

    @property
    def n_steps(self) -> int | None:
        """Return the length of the training; None if only the objective knows."""
        epochs = self.params.get("epochs")
        return epochs if type(epochs) is int and epochs > 0 else None

    @property
    def goal(self) -> Goal:
        return Goal(metric=self.metric, direction=self.direction)

    @property
    def needs_study_file(self) -> bool:
        """Return whether it names code or files, which belong next to it."""
        return bool(self.objective.local_names)

    @property
    def fingerprint(self) -> str | None:
        """Return the fingerprint of the study's data."""
        found = self.provenance.get("data_fingerprint")
        return found if isinstance(found, str) and found else None


def load_best_config(path: Path, overrides: Sequence[str] = ()) -> BestConfig:
    """Read and validate a best config; raises `StudyFileError` with every fault in it.

    `overrides`: `epochs=100` sets a param; `params.epochs=100` is its full form.
    """
    text = read_source(path)
    faults = Faults(text.split("\n"))
    node = compose(text, faults)
    for override in overrides if node else ():
        assert node is not None
        node = apply_override(node, _in_full(override, node))
    root = Item(node=node, path="", faults=faults) if node else None
    config = _read(root, find_code_folder(path, written_code(root.node))) if root else None
    if faults or config is None:
        raise StudyFileError(str(path), faults.first(), faults.n_more())
    return config


def _in_full(override: str, root: Node) -> str:
    """Expand the name of a param: it is below `params`, whatever else the name could mean."""
    key = override.partition("=")[0].strip()
    entries = root.entries if isinstance(root, MapNode) else ()
    params = next((node for name, node in entries if name.text == "params"), None)
    names = {name.text for name, _ in params.entries} if isinstance(params, MapNode) else set()
    is_key = key.partition(".")[0] in _KEYS.allowed and key not in names - set(_KEYS.allowed)
    return override if is_key else f"params.{override}"


def _read(root: Item, folder: Path) -> BestConfig | None:
    if not isinstance(root.node, MapNode):
        root.fault("must be a mapping, as tuner export writes it")
        return None
    section = read_section(root, _KEYS)
    assert section is not None
    for name in _REQUIRED:
        if name not in section:
            root.fault(f"`{name}:` is missing; tuner export writes a complete file")
    _check_format(section.get("format"))
    kind = find_kind(node_of(section, "objective"))
    objective = kind.read(section["objective"], folder) if "objective" in section else None
    goal = read_goal(section, kind, objective) if objective else None
    if objective and not goal and not set(Direction) & set(section):
        root.fault("the goal is missing; add `minimize: val_loss`")
    # Without an objective, nothing can be said of its params.
    known = kind.known_params(node_of(section, "objective")) if objective else ANY_PARAMS
    params = read_params(section.get("params"), known)
    n_ranks = _read_number(section.get("processes_per_trial"), MAX_RANKS) or 1
    if n_ranks > 1 and objective and (fault := kind.ranks_fault(objective, n_ranks)):
        section["processes_per_trial"].fault(fault)
    values = {
        "name": read_name(section["name"], is_new=False) if "name" in section else None,
        "objective": objective,
        "params": kind.spec.complete(params),
        "seed": read_int(section["seed"], _SEEDS) if "seed" in section else None,
        "data_seed": read_int(section["data_seed"], _SEEDS) if "data_seed" in section else 0,
        "best_epoch": _read_number(section.get("best_epoch"), 10**9),
        "processes_per_trial": n_ranks,
        "weights": _read_weights(section.get("weights")),
        "provenance": _plain(section["provenance"].node) if "provenance" in section else {},
    }
    if not isinstance(values["provenance"], dict):
        section["provenance"].fault("must be a mapping")
    if root.faults or goal is None:
        return None
    return BestConfig.model_validate({**values, "metric": goal.metric, "direction": goal.direction})


def _check_format(item: Item | None) -> None:
    text = read_text(item, f"must be {FORMAT}") if item is not None else FORMAT
    if item is not None and text is not None and text != FORMAT:
        item.fault(f"this version of tuner reads {FORMAT}; export the trial again")


def _read_number(item: Item | None, high: int) -> int | None:
    return None if item is None else read_int(item, Interval(low=1, high=high))


def _read_weights(item: Item | None) -> Weights | None:
    """Read a file name, not a path: the file is next to this one."""
    section: Section = (
        read_section(item, Keys(allowed=("file", "sha256"))) if item else None
    ) or {}
    if item is None or not section:
        return None
    if len(section) < 2:
        item.key_fault("needs `file:` and `sha256:`; tuner export --weights writes both")
        return None
    file = read_text(section["file"], "must be a file's name")
    sha256 = read_text(section["sha256"], "must be a sha256 in hexadecimal digits")
    if file is not None and (file != Path(file).name or file.startswith(".")):
        section["file"].fault("must be the name of a file next to this one, without a folder")
        return None
    if sha256 is not None and (len(sha256) != _SHA256 or set(sha256) - set("0123456789abcdef")):
        section["sha256"].fault("must be 64 hexadecimal digits")
        return None
    return Weights(file=file, sha256=sha256) if file and sha256 else None


def _plain(node: Node) -> Any:
    """Return a node as Python's own values."""
    match node:
        case MapNode():
            return {key.text: _plain(child) for key, child in node.entries}
        case ListNode():
            return [_plain(child) for child in node.items]
        case ScalarNode():
            return node.value
        case _:
            return None
