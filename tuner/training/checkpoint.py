"""Checkpoints: a tree of dicts, lists, tuples, scalars, tensors and arrays in one safetensors file.

The tensors are the file's tensors, named t0, t1, ...; the rest of the tree is JSON in the file's
metadata. Nothing is ever unpickled, so a prepared file can be wrong but cannot run code.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from tuner.training.folders import sync_folder, write_synced

_SCALARS = (str, int, float, bool, type(None))
_FORMAT = "tuner-checkpoint-1"

# What damaged bytes can lead to, in the format, in JSON and in the tree.
READING_FAILS = (
    OSError,
    SafetensorError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)


class BadCheckpoint(Exception):
    """A checkpoint file cannot be read, or is not what it should be."""


@dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """A checkpoint on disk, synced."""

    path: Path
    sha256: str
    n_bytes: int


def save_checkpoint(spool: Path, name: str, tree: object) -> CheckpointFile:
    """Write `<spool>/<name>.safetensors`, mode 0600: complete and durable, or not at all."""
    content = encode_tree(tree)
    path = spool / f"{name}.safetensors"
    handle, unfinished = tempfile.mkstemp(prefix=f".{name}.", dir=spool)  # 0600, not predictable
    try:
        write_synced(handle, content)
        os.rename(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    sync_folder(spool)
    return CheckpointFile(
        path=path, sha256=hashlib.sha256(content).hexdigest(), n_bytes=len(content)
    )


def load_checkpoint(path: Path, *, sha256: str | None = None) -> Any:
    """The tree in a file, its tensors on the CPU; raises `BadCheckpoint`.

    `sha256`, where given, must be the file's: it is looked at before anything is read.
    """
    try:
        if sha256 is not None and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise BadCheckpoint(f"{path.name} is not the file that was written: another sha256")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names: list[str] = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
        if metadata.get("format") != _FORMAT:
            raise BadCheckpoint(f"{path.name} is not a checkpoint of this version of tuner")
        tree = _unpack(json.loads(metadata["tree"]), tensors)
    except READING_FAILS as error:
        raise BadCheckpoint(f"checkpoint {path.name} cannot be read: {error}") from error
    if tensors:
        raise BadCheckpoint(f"checkpoint {path.name} holds tensors that belong to nothing")
    return tree


def encode_tree(tree: object) -> bytes:
    """The whole file as bytes; raises TypeError for anything that is not such a tree."""
    tensors: dict[str, torch.Tensor] = {}
    skeleton = _pack(tree, tensors)
    return save(tensors, {"format": _FORMAT, "tree": json.dumps(skeleton)})


def _pack(node: object, tensors: dict[str, torch.Tensor]) -> object:
    """JSON for a node: the scalar itself, or its kind and content.

    {"d": dict with text keys}, {"m": pairs of a dict with other scalars as keys}, {"l": list},
    {"u": tuple}, {"t": tensor's name}, {"a": name of an array's tensor}.
    """
    match node:
        case torch.Tensor():
            return {"t": _add(node, tensors)}
        case np.ndarray():
            return {"a": _add(torch.from_numpy(node), tensors)}
        case np.generic():
            return _pack(node.item(), tensors)
        case Mapping() if all(isinstance(key, str) for key in node):
            return {"d": {key: _pack(child, tensors) for key, child in node.items()}}
        case Mapping() if all(isinstance(key, _SCALARS) for key in node):
            return {"m": [[key, _pack(child, tensors)] for key, child in node.items()]}
        case list():
            return {"l": [_pack(child, tensors) for child in node]}
        case tuple():
            return {"u": [_pack(child, tensors) for child in node]}
        case None | bool() | int() | float() | str():
            return node
    raise TypeError(
        f"a checkpoint cannot hold a {type(node).__name__}; save dicts, lists, tuples, numbers, "
        "text, tensors and arrays, such as a state_dict()"
    )


def _add(tensor: torch.Tensor, tensors: dict[str, torch.Tensor]) -> str:
    name = f"t{len(tensors)}"
    # A copy: views of one stack share their memory, which the format cannot say.
    tensors[name] = tensor.detach().to("cpu", copy=True).contiguous()
    return name


def _unpack(node: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The inverse of `_pack`; takes what it uses out of `tensors`."""
    if not isinstance(node, dict):
        return node
    [(kind, content)] = node.items()
    match kind:
        case "t":
            return tensors.pop(content)
        case "d":
            return {key: _unpack(child, tensors) for key, child in content.items()}
        case "m":
            return {_scalar(key): _unpack(child, tensors) for key, child in content}
        case "l":
            return [_unpack(child, tensors) for child in content]
        case "u":
            return tuple(_unpack(child, tensors) for child in content)
        case "a":
            return tensors.pop(content).numpy()
    raise ValueError(f"a node of unknown kind {kind!r}")


def _scalar(key: Any) -> Any:
    if not isinstance(key, _SCALARS):
        raise ValueError(f"a key is {key!r}")
    return key
