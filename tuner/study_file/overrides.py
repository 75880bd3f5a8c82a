"""`--set key.path=value`: changes to a study file's tree before it is read."""

from dataclasses import replace

from tuner.errors import UsageError
from tuner.study_file.faults import Faults, quote
from tuner.study_file.yaml_nodes import BrokenNode, ListNode, MapNode, Node, ScalarNode, compose

ARGUMENT_LINE = 0  # of nodes that stand in no file


def apply_override(root: Node, text: str) -> Node:
    """The tree with one value set, made if it is not there; raises `UsageError`.

    The value is read as YAML, so that `search_space.lr={float: [1e-4, 1]}` works as well.
    """
    path, equals, value_text = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UsageError(f"--set {text}: write key.path=value, such as budget.trials=20")
    faults = Faults()
    value = compose(value_text, faults)
    if value is None and faults:
        raise UsageError(f"--set {text}: {quote(value_text)} is not valid YAML")
    given = value or ScalarNode(line=ARGUMENT_LINE, column=1, text="", value=None)
    return _set(root, keys, _moved(given), path)


def _set(node: Node, keys: list[str], value: Node, path: str) -> Node:
    if not keys:
        return value
    if not isinstance(node, MapNode):
        raise UsageError(
            f"--set {path}: {quote(keys[0])} cannot be set, what holds it is no mapping"
        )
    key, *rest = keys
    for index, (found, child) in enumerate(node.entries):
        if found.text == key:
            entry = (found, _set(child, rest, value, path))
            return replace(node, entries=(*node.entries[:index], entry, *node.entries[index + 1 :]))
    name = ScalarNode(line=ARGUMENT_LINE, column=1, text=key, value=key)
    empty = MapNode(line=ARGUMENT_LINE, column=1, entries=())
    return replace(node, entries=(*node.entries, (name, _set(empty, rest, value, path))))


def _moved(node: Node) -> Node:
    """The node as one that stands in no file."""
    line, column = ARGUMENT_LINE, 1
    match node:
        case MapNode():
            entries = tuple(
                (replace(key, line=line, column=column), _moved(child))
                for key, child in node.entries
            )
            return MapNode(line=line, column=column, entries=entries)
        case ListNode():
            return ListNode(line=line, column=column, items=tuple(map(_moved, node.items)))
        case ScalarNode() | BrokenNode():
            return replace(node, line=line, column=column)
