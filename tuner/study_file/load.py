"""Reading of a study file into its spec, or into all of its faults at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import Fault, StudyFileError
from tuner.study.trial import Direction
from tuner.study_file import not_yet
from tuner.study_file.algorithms.checks import (
    check_pruner,
    check_sampler,
    warn_of_budget,
    warn_of_pruner,
    warn_of_ranges,
    warn_of_schedules,
)
from tuner.study_file.algorithms.reading import SAMPLERS, read_pruner, read_sampler
from tuner.study_file.code_names import find_code_folder
from tuner.study_file.keys import keyed_fields, read_fields
from tuner.study_file.kinds.table import find_kind, written_code
from tuner.study_file.model import Budget, StudySpec, Workers
from tuner.study_file.params.enqueue import read_enqueue
from tuner.study_file.params.reading import (
    check_parameters,
    entries_of,
    read_params,
    read_search_space,
)
from tuner.study_file.sections import (
    check_budget,
    check_lanes,
    check_preload,
    check_ranks,
    node_of,
    read_goal,
    read_name,
)
from tuner.study_file.text.faults import Faults, did_you_mean
from tuner.study_file.text.items import Item, Keys, Section, is_misspelt, read_section
from tuner.study_file.text.overrides import apply_override
from tuner.study_file.text.source import read_source
from tuner.study_file.text.yaml_nodes import MapNode, ScalarNode, compose

_EXAMPLES = {
    "name": "name: digits",
    "objective": "objective: {data: {sklearn: digits}, model: mlp}",
    "search_space": "search_space: {learning_rate: {float: [1e-4, 1e-1], log: true}}",
    "budget": "budget: {trials: 100}",
}
STUDY_KEYS = tuple(
    key
    for name in keyed_fields(StudySpec)
    for key in ([name, *Direction] if name == "objective" else [name])
)
_KEYS = Keys(allowed=STUDY_KEYS, hints=not_yet.STUDY_HINTS)


@dataclass(frozen=True, kw_only=True)
class LoadedStudyFile:
    """A valid study file and its warnings."""

    spec: StudySpec
    folder: Path  # to which names of the user's code are relative
    warnings: tuple[Fault, ...]  # located like faults, sorted by position
    unnamed: frozenset[str]  # "sampler" and "pruner", if the file leaves them to their defaults


def load_spec(path: Path, overrides: Sequence[str] = ()) -> StudySpec:
    """Read and validate a study file; raises `StudyFileError` with every fault in it.

    `overrides` are texts such as `budget.trials=20`, applied in order. The file is only read:
    nothing is imported, connected or written.
    """
    return load_study_file(path, overrides).spec


def load_study_file(path: Path, overrides: Sequence[str] = ()) -> LoadedStudyFile:
    """Read it like `load_spec`, with the warnings."""
    text = read_source(path)
    faults = Faults(text.split("\n"))
    node = compose(text, faults)
    for override in overrides if node else ():
        assert node is not None
        node = apply_override(node, override)
    root = Item(node=node, path="", faults=faults) if node else None
    folder = find_code_folder(path, written_code(root.node)) if root else path.parent
    spec = _read_study(root, folder) if root else None
    if node is None and not faults:
        faults.add(1, 1, "", "the file holds no study; `name:` and `objective:` are a start")
    if faults:
        raise StudyFileError(str(path), faults.first(), faults.n_more())
    assert spec is not None, "a reader returned None without a fault"
    given = {key.value for key, _ in node.entries} if isinstance(node, MapNode) else set()
    return LoadedStudyFile(
        spec=spec,
        folder=folder,
        warnings=faults.warnings(),
        unnamed=frozenset({"sampler", "pruner"} - given),
    )


def _read_study(root: Item, folder: Path) -> StudySpec | None:
    if not isinstance(root.node, MapNode):
        root.fault("must be a mapping; `name: digits` could be its first line")
        return None
    section = read_section(root, _KEYS)
    assert section is not None
    for name, example in _EXAMPLES.items():
        if name == "budget" and _is_grid(section):
            continue  # it ends by itself
        if name not in section and not is_misspelt(root, name, _KEYS):
            root.fault(f"`{name}:` is missing; add `{example}`")
    return _build(section, root, folder)


def _build(section: Section, root: Item, folder: Path) -> StudySpec | None:
    """Build the spec; None after a fault. Every section is read, whatever fails before."""
    kind = find_kind(node_of(section, "objective"))
    objective = kind.read(section["objective"], folder) if "objective" in section else None
    goal = read_goal(section, kind, objective)
    if not (goal or set(Direction) & set(section) or _has_misspelt_goal(root)):
        root.fault("the goal is missing; add `minimize: val_loss`")
    known = kind.known_params(node_of(section, "objective"))
    params = read_params(section.get("params"), known)
    space = read_search_space(section["search_space"], known) if "search_space" in section else {}
    refused = entries_of(section.get("search_space")).keys() - space.keys()
    sampler = read_sampler(section.get("sampler"))
    pruner = read_pruner(section.get("pruner"))
    check_budget(section.get("budget"), is_grid=_is_grid(section))
    parts = {
        **read_fields(section, StudySpec),
        "name": read_name(section["name"]) if "name" in section else None,
        "objective": objective,
        "params": params,
        "search_space": space,
        "sampler": sampler,
        "pruner": pruner,
        "enqueue": read_enqueue(section.get("enqueue"), space, refused),
    }
    budget = parts.setdefault("budget", Budget())
    workers = parts.get("workers", Workers())
    check_lanes(section.get("workers"), workers.lanes, kind)
    check_preload(section.get("workers"), workers.preload, kind)
    if "objective" in section:
        check_ranks(section.get("workers"), workers, kind, objective)
    check_parameters(section.get("params"), section.get("search_space"), known)
    n_epochs = kind.spec.complete(params).get("epochs")
    ranges = entries_of(section.get("search_space"))
    named = {**entries_of(section.get("params")), **ranges}
    kind.check_params(objective, named, section.get("objective"), folder)
    check_sampler(section.get("sampler"), sampler, ranges, space)
    check_pruner(section.get("pruner"), pruner, n_epochs)
    warn_of_ranges(ranges, space)
    warn_of_budget(section, sampler, budget, space)
    warn_of_pruner(section.get("pruner"), pruner, n_epochs)
    if known.table:
        warn_of_schedules(ranges, space, pruner)
    if root.faults or goal is None:
        return None
    return StudySpec.model_validate({**parts, "metric": goal.metric, "direction": goal.direction})


def _is_grid(section: Section) -> bool:
    """Return whether the sampler is a grid, or a name that was meant to be one."""
    node = section["sampler"].node if "sampler" in section else None
    names = [key.text for key, _ in node.entries] if isinstance(node, MapNode) else []
    if isinstance(node, ScalarNode):
        names = [node.text]
    if names == ["grid"] or len(names) != 1 or names[0] in SAMPLERS:
        return names == ["grid"]
    return did_you_mean(names[0], SAMPLERS) == did_you_mean("grid", SAMPLERS)


def _has_misspelt_goal(root: Item) -> bool:
    return any(is_misspelt(root, direction, _KEYS) for direction in Direction)
