"""All kinds of objectives of a study file; other code uses the methods of `Objective`."""

from collections.abc import Sequence

from tuner.study_file.code_names import written_code_names
from tuner.study_file.kinds.command.objective import CommandObjective
from tuner.study_file.kinds.command.reading import CommandKind
from tuner.study_file.kinds.function import FunctionKind, FunctionObjective
from tuner.study_file.kinds.objective import ObjectiveKind
from tuner.study_file.kinds.trainer import TrainerKind, TrainerObjective
from tuner.study_file.text.yaml_nodes import MapNode, Node

# Specs are stored without the kind's name: the fields of no two kinds may fit the same record.
AnyObjective = TrainerObjective | FunctionObjective | CommandObjective

# A value is of the first kind that it is meant to be of; the last one takes every value.
KINDS: Sequence[ObjectiveKind] = (FunctionKind(), CommandKind(), TrainerKind())


def find_kind(node: Node | None) -> ObjectiveKind:
    """Return the kind that a value of `objective:` is meant to be; the last one without a value."""
    return next(kind for kind in KINDS if kind.is_meant(node))


def written_code(root: Node) -> tuple[str, ...]:
    """Return the user's code that a whole file names, before anything in it has been checked."""
    entries = root.entries if isinstance(root, MapNode) else ()
    values = [node for key, node in entries if key.text == "objective"]
    return written_code_names(n for value in values for n in find_kind(value).code_nodes(value))
