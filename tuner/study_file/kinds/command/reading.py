"""The syntax of a command in a study file."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuner.study.trial import Direction
from tuner.study_file.keys import key_schema, keyed_fields, read_fields, record_schema
from tuner.study_file.kinds.command.config_file import (
    BadConfig,
    has_key,
    load_config,
    missing_key_fault,
)
from tuner.study_file.kinds.command.objective import CommandObjective
from tuner.study_file.kinds.command.placeholders import (
    BUILT_IN,
    find_python_program,
    is_interpreter,
    names_in,
)
from tuner.study_file.kinds.command.report import Report, read_report
from tuner.study_file.kinds.function import METRIC
from tuner.study_file.kinds.objective import Objective, ObjectiveKind
from tuner.study_file.params.trainer_params import ANY_PARAMS, KnownParams
from tuner.study_file.schema.parts import Schema, object_schema
from tuner.study_file.text.faults import did_you_mean, listed, quote
from tuner.study_file.text.items import Item, Keys, Section, read_entries, read_list, read_section
from tuner.study_file.text.yaml_nodes import ListNode, MapNode, Node, ScalarNode

_FIELDS = keyed_fields(CommandObjective)
_KEYS = Keys(
    allowed=tuple(_FIELDS),
    hints=dict.fromkeys(
        ("data", "model", "loss", "metrics", "split", "prepare", "augment", "task"),
        "belongs to the built-in trainer; your program reads its own data and builds its model",
    ),
)


class CommandKind(ObjectiveKind):
    """A mapping with `command:`."""

    spec = CommandObjective

    def is_meant(self, node: Node | None) -> bool:
        entries = node.entries if isinstance(node, MapNode) else ()
        return any(key.text == "command" for key, _ in entries)

    def read(self, item: Item, folder: Path) -> CommandObjective | None:
        section = read_section(item, _KEYS)
        if section is None:
            return None
        values = read_fields(section, CommandObjective)
        if "report" in section:
            values["report"] = read_report(section["report"])
        if any(values.get(name) is None for name in section):
            return None
        objective = CommandObjective(**values)
        if fault := _config_fault(objective, folder):
            section["config" if "config" in section else "command"].fault(fault)
            return None
        _warn_of_program(section["command"], objective.command[0], folder)
        return objective

    def known_params(self, node: Node | None) -> KnownParams:
        return ANY_PARAMS

    def goal_fault(
        self, metric: str, direction: Direction, objective: Objective | None, node: Node | None
    ) -> str:
        """Check the metric's name, and that a pattern finds it."""
        if not METRIC.fullmatch(metric):
            return f"{quote(metric)} is no name of a metric; write letters, digits and _"
        assert objective is None or isinstance(objective, CommandObjective)
        groups = objective.report.groups if objective and objective.report else None
        if groups is not None and metric not in groups:
            return (
                f"the pattern of `report:` has no group {metric}; its groups are "
                f"{listed(groups) or 'none'}, and (?P<{metric}>\\S+) would be one more"
            )
        return ""

    def check_params(
        self, objective: Objective | None, entries: Section, item: Item | None, folder: Path
    ) -> None:
        """Report placeholders without params, and params without placeholders."""
        assert objective is None or isinstance(objective, CommandObjective)
        if objective is None or item is None:
            return
        _check_names(objective, entries, item)
        report = objective.report
        if report is not None and report.pattern is None and not names_in(report.location):
            (read_entries(item, "") or {})["report"].fault(
                f"{quote(report.location)} is the same file for all trials that run at once; put "
                "{trial_dir} into it, and into the argument that sets it in your program"
            )
        content = _config_content(objective, folder)
        for name, entry in entries.items():
            if name in BUILT_IN:
                entry.key_fault(
                    f"{{{name}}} is {BUILT_IN[name].partition(';')[0]}; give the param another name"
                )
            elif name in objective.params_named or objective.takes_all_params:
                continue
            elif content is not None:
                if not has_key(content, name) and name != "epochs":
                    assert objective.config is not None
                    entry.key_fault(missing_key_fault(content, name, objective.config))
            elif name != "epochs":
                entry.key_warn(
                    f"no placeholder passes {name} to the program, so that its value changes "
                    f'nothing; write "{{{name}}}" or "{{args}}" in the command'
                )

    def lanes_fault(self, lanes: int) -> str:
        wrong = "a command trains one trial; `processes:` runs several on a device"
        return wrong if lanes > CommandObjective.max_lanes else ""

    def ranks_fault(self, objective: Objective | None, n_ranks: int) -> str:
        """Check that torchrun can start the program, which has to be one of Python."""
        assert objective is None or isinstance(objective, CommandObjective)
        if objective is None or n_ranks == 1 or find_python_program(objective.command) is not None:
            return ""
        return (
            f"{n_ranks} processes are started by torchrun, so that the command has to begin with "
            "[python, main.py] or [python, -m, module]; for a launcher of your own write "
            "`processes_per_trial: 1`"
        )

    def code_nodes(self, node: Node) -> Sequence[Node]:
        return []

    def schema(self) -> Schema:
        keys = {
            name: key_schema(found)
            for name, found in _FIELDS.items()
            if found.key.value is not None
        }
        report = {**record_schema(Report), "description": _FIELDS["report"].key.doc}
        return object_schema({**keys, "report": report}, ["command"])


def _config_content(objective: CommandObjective, folder: Path) -> Mapping[str, Any] | None:
    if objective.config is None or "config" not in objective.placeholders:
        return None
    return load_config(folder / objective.config)


def _config_fault(objective: CommandObjective, folder: Path) -> str:
    is_used = "config" in objective.placeholders
    if objective.config is None:
        return "`{config}` needs `config:`, your program's config file" if is_used else ""
    if not is_used:
        return 'no placeholder passes it to the program; write "{config}" in the command'
    if Path(objective.config).is_absolute():
        return "is a path of one machine; write it relative to the study file"
    try:
        load_config(folder / objective.config)
    except BadConfig as error:
        return str(error)
    return ""


def _warn_of_program(item: Item, program: str, folder: Path) -> None:
    """Warn of a program that this machine does not have; others may have it."""
    first = (read_list(item, "") or [item])[0]
    _warn_of_script(item, folder)
    if names_in(program):
        return
    if "/" in program:
        if not (folder / program).exists():
            first.warn(f"there is no program {folder / program} on this machine")
    elif shutil.which(program) is None:
        first.warn(f"there is no program {quote(program)} on this machine's PATH")


def _warn_of_script(item: Item, folder: Path) -> None:
    """Warn of an interpreter's script that does not exist; the run refuses it."""
    words = read_list(item, "") or []
    texts = [word.node.text if isinstance(word.node, ScalarNode) else "" for word in words[:2]]
    if len(texts) < 2 or not is_interpreter(texts[0]) or texts[1].startswith("-"):
        return
    if not names_in(texts[1]) and not (folder / texts[1]).exists():
        words[1].warn(f"there is no file {folder / texts[1]}, which the command runs")


def _check_names(objective: CommandObjective, entries: Section, item: Item) -> None:
    """Report placeholders that name no param, each at its argument."""
    known = [*entries, *BUILT_IN]
    unknown = objective.params_named - entries.keys()
    for name in sorted(unknown):
        guess = did_you_mean(name, known) or f"; params are {listed(entries) or 'missing'}"
        _item_with(item, name).fault(f"{{{name}}} names no param of this study{guess}")


def _item_with(item: Item, name: str) -> Item:
    """Return the item of the first text with a placeholder, otherwise that of the objective."""
    pending = [item]
    while pending:
        found = pending.pop(0)
        node = found.node
        if isinstance(node, MapNode):
            pending += [
                Item(node=value, key=key, path=f"{found.path}.{key.text}", faults=item.faults)
                for key, value in node.entries
            ]
        elif isinstance(node, ListNode):
            pending += read_list(found, "") or []
        elif name in names_in(getattr(node, "text", "")):
            return found
    return item
