"""Checkpoints: a tree of dicts, lists, tuples, scalars, tensors and arrays in one safetensors file.

The tensors are the file's tensors, named t0, t1, ...; the rest of the tree is JSON in the file's
metadata. Nothing is ever unpickled: a prepared file can be wrong but cannot run code.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save

from tuner.training.checkpoint_file import BadCheckpoint, CheckpointFile
from tuner.training.checkpoint_folder import FOLDER_SUFFIX, check_folder_file, pack_folder
from tuner.training.folders import sync_folder, write_synced
from tuner.training.lane import UnfitState
from tuner.training.tensor_file import (
    READING_FAILS,
    check_json_size,
    open_tensor_file,
    printable,
    reason_of,
)

_SCALARS = (str, int, float, bool, type(None))
CHECKPOINT_FORMAT = "tuner-checkpoint-1"
_GREATEST = 10**4000  # Python writes and reads 4,300 digits
_PLACE = 300  # characters of a place in the tree
_ADVICE = "; save dicts, lists, tuples, numbers, text, tensors and arrays, such as a state_dict()"
Place = tuple[object, ...]  # the keys that lead to a node


def save_checkpoint(spool: Path, name: str, state: object) -> CheckpointFile:
    """Write `<spool>/<name>.safetensors`, mode 0600: complete and durable, or not at all.

    The path of a folder as `state` is packed, as `pack_folder` does.
    """
    if isinstance(state, Path):
        return pack_folder(state, spool, name)
    content = encode_tree(state)
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
    """Return the tree in a file, its tensors on the CPU; raises `BadCheckpoint`.

    `sha256`, if given, must be the file's: it is checked before anything is read.
    """
    try:
        with open_tensor_file(path, sha256 or "") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != CHECKPOINT_FORMAT:
                raise ValueError("it is not a checkpoint of this version of tuner")
            check_json_size(metadata["tree"])
            tree = json.loads(metadata["tree"])
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
        tree = _unpack(tree, tensors)
        if tensors:
            raise ValueError("it holds tensors that belong to nothing")
    except READING_FAILS as error:
        name = printable(path.name)
        raise BadCheckpoint(f"checkpoint {name} cannot be read: {reason_of(error)}") from error
    return tree


def check_checkpoint(path: Path) -> None:
    """Raise `BadCheckpoint` if a checkpoint of either format cannot be read."""
    if path.suffix == FOLDER_SUFFIX:
        check_folder_file(path)
    else:
        load_checkpoint(path)


def encode_tree(tree: object) -> bytes:
    """Return the file as bytes; raises `UnfitState` with the position of an unsupported node."""
    packing = _Packing()
    try:
        skeleton = json.dumps(packing.pack(tree, ()))
    except RecursionError:
        raise UnfitState(
            "a checkpoint cannot hold a state that contains itself, or is nested too deeply"
        ) from None
    try:
        check_json_size(skeleton)
    except ValueError:
        raise UnfitState(
            "a checkpoint cannot hold about a million single values; put numbers into arrays"
        ) from None
    try:
        return save(packing.tensors, {"format": CHECKPOINT_FORMAT, "tree": skeleton})
    except (KeyError, SafetensorError):
        for name, tensor in packing.tensors.items():
            _check_dtype(tensor, packing.places[name])
        raise


def _check_dtype(tensor: torch.Tensor, place: Place) -> None:
    try:
        save({"t": tensor.flatten()[:1]})
    except (KeyError, SafetensorError):
        raise _unfit(f"numbers of the kind {tensor.dtype}", place) from None


class _Packing:
    """Conversion of one tree: JSON for its nodes, and the tensors separately."""

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self.places: dict[str, Place] = {}  # of the tensors

    def pack(self, node: object, place: Place) -> object:
        """Return JSON for a node: the scalar itself, or its kind and content.

        {"d": dict with text keys}, {"m": pairs of a dict with other scalars as keys}, {"l": list},
        {"u": tuple}, {"t": tensor's name}, {"a": name of an array's tensor}.
        """
        match node:
            case torch.Tensor():
                return {"t": self._add(node, place)}
            case np.ndarray() if not isinstance(node, np.ma.MaskedArray):
                return {"a": self._add(_tensor_of(node, place), place)}
            case Mapping():
                return self._pack_mapping(node, place)
            case list():
                return {"l": [self.pack(child, (*place, n)) for n, child in enumerate(node)]}
            case tuple():
                return {"u": [self.pack(child, (*place, n)) for n, child in enumerate(node)]}
            case _:
                return _scalar_of(node, place)

    def _pack_mapping(self, node: Mapping[Any, Any], place: Place) -> object:
        pairs = [
            [_key_of(key, (*place, key)), self.pack(child, (*place, key))]
            for key, child in node.items()
        ]
        if all(isinstance(key, str) for key, _ in pairs):
            return {"d": dict(pairs)}  # type: ignore[arg-type]
        return {"m": pairs}

    def _add(self, tensor: torch.Tensor, place: Place) -> str:
        name = f"t{len(self.tensors)}"
        if "sparse" in str(tensor.layout):
            raise _unfit("a sparse tensor", place, "; call its to_dense()")
        if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized:
            raise _unfit("a nested, quantized or otherwise special tensor", place)
        if tensor.is_meta:
            raise _unfit("a tensor without data (on the device meta)", place)
        # A copy: views of one stack share their memory, which the format cannot represent.
        self.tensors[name] = tensor.detach().to("cpu", copy=True).contiguous()
        self.places[name] = place
        return name


def _scalar_of(node: object, place: Place) -> object:
    if isinstance(node, np.floating):
        return float(node)  # `item()` of a longdouble is a longdouble
    value = node.item() if isinstance(node, np.generic) else node
    if not isinstance(value, _SCALARS):
        advice = "; call its state_dict()" if hasattr(value, "state_dict") else ""
        raise _unfit(f"a {type(node).__name__}", place, advice)
    if isinstance(value, str) and not _is_unicode(value):
        raise _unfit("text with half of a surrogate pair, which is no Unicode", place)
    if isinstance(value, int) and abs(value) >= _GREATEST:
        raise _unfit("an int of so many digits", place)
    return value


def _key_of(key: object, place: Place) -> object:
    if isinstance(key, (*_SCALARS, np.generic)):
        return _scalar_of(key, place)
    raise _unfit(f"a {type(key).__name__} as a key", place, "; keys are text or numbers")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _tensor_of(array: np.ndarray[Any, Any], place: Place) -> torch.Tensor:
    try:
        # In the machine's order of bytes, and without the negative strides of a reversed view.
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
    except TypeError:
        raise _unfit(f"an array of the kind {array.dtype}", place) from None


def _unfit(what: str, place: Place, advice: str = "") -> UnfitState:
    where = "state" + "".join(f"[{_shown(key)}]" for key in place)
    return UnfitState(f"a checkpoint cannot hold {what}: {where[:_PLACE]}{advice or _ADVICE}")


def _shown(key: object) -> str:
    return json.dumps(key) if isinstance(key, str) else ascii(key)


def _unpack(node: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Invert `_pack`; remove the used tensors from `tensors`."""
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
