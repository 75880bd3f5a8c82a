"""`--set key.path=value`: changes to a study file's tree before it is read."""

from collections.abc import Sequence
from dataclasses import replace

from tuner.errors import UsageError
from tuner.study_file.params.reading import RANGE_KEYS
from tuner.study_file.text.faults import Faults, quote
from tuner.study_file.text.yaml_nodes import (
    BrokenNode,
    ListNode,
    MapNode,
    Node,
    ScalarNode,
    compose,
)

ARGUMENT_LINE = 0  # of nodes that are in no file


def apply_override(root: Node, text: str) -> Node:
    """Return the tree with one value set, created if it is missing; raises `UsageError`.

    The value is read as YAML, so that `search_space.lr={float: [1e-4, 1]}` works as well. Names of
    params may hold dots: the longest existing key that fits is used.
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
    return _set(root, keys, _moved(given), ())


def _set(node: Node, keys: Sequence[str], value: Node, above: tuple[str, ...]) -> Node:
    if not keys:
        return value
    if not isinstance(node, MapNode):
        path = ".".join([*above, *keys])
        raise UsageError(
            f"--set {path}: {quote(keys[0])} cannot be set: the value above it is no mapping"
        )
    index = _find_entry(node, keys, above)
    if index is not None:
        name, child = node.entries[index]
        n = len(name.text.split("."))
        entry = (name, _set(child, keys[n:], value, (*above, name.text)))
        return replace(node, entries=(*node.entries[:index], entry, *node.entries[index + 1 :]))
    n = _length_of_new(keys, value, above)
    key = ".".join(keys[:n])
    name = ScalarNode(line=ARGUMENT_LINE, column=1, text=key, value=key)
    empty = MapNode(line=ARGUMENT_LINE, column=1, entries=())
    child = _set(empty, keys[n:], value, (*above, key))
    return replace(node, entries=(*node.entries, (name, child)))


def _find_entry(node: MapNode, keys: Sequence[str], above: tuple[str, ...]) -> int | None:
    """Return the index of the entry whose key is the longest possible beginning of the path."""
    for n in range(len(keys), 0, -1):
        if n < len(keys) and not _has_parts(above, keys[n]):
            continue
        for index, (found, _) in enumerate(node.entries):
            if found.text == ".".join(keys[:n]):
                return index
    return None


def _has_parts(above: tuple[str, ...], part: str) -> bool:
    """Return whether the named value can have such a part; params are single values."""
    if above == ("search_space",):
        return part in RANGE_KEYS.allowed
    return not _is_of_names(above)


def _is_of_names(above: tuple[str, ...]) -> bool:
    return above == ("params",) or above[-1:] == ("when",)


def _length_of_new(keys: Sequence[str], value: Node, above: tuple[str, ...]) -> int:
    """Return how many parts of the path form the name of a new key.

    All of them if any name is allowed, except the keys of a range.
    """
    if above == ("search_space",):
        is_of_range = (
            len(keys) > 1 and keys[-1] in RANGE_KEYS.allowed and not isinstance(value, MapNode)
        )
        return len(keys) - is_of_range
    return len(keys) if _is_of_names(above) else 1


def _moved(node: Node) -> Node:
    """Return a copy of the node without a position in the file."""
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
