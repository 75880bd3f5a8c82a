"""Opening of a safetensors file of unknown origin: its header is checked before any tensor.

safetensors itself compares the place of each tensor with its dtype and shape and with the size of
the file. It does not bound the header, and it waits for a writer if the path is a FIFO.
"""

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

MAX_HEADER_BYTES = 20_000_000
MAX_PARSED_BYTES = 100_000_000
# Most bytes that Python needs for JSON's content per character: `{"":0}` is a dict.
_PARSED_BYTES = {"{": 250, "[": 100, ",": 80, ":": 120}
_MAX_REASON = 200

# Errors that damaged bytes can raise, in the format, in JSON and in the tree.
READING_FAILS = (
    OSError,
    SafetensorError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
)


@contextmanager
def open_tensor_file(path: Path, sha256: str = "") -> Iterator[Any]:
    """Open the file as `safe_open` does; `sha256`, if given, must be the file's.

    Raises one of `READING_FAILS` within memory of the file's size and that of `MAX_PARSED_BYTES`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        if sha256 and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ValueError("it is not the file that was written: its sha256 differs")
        file.seek(0)
        n_header = int.from_bytes(file.read(8), "little")
        if status.st_size < 8 or n_header > status.st_size - 8:
            raise ValueError("it is cut off, or its header claims more bytes than it has")
        if n_header > MAX_HEADER_BYTES:
            raise ValueError("its header is too large")
        check_json_size(file.read(n_header))
    with safe_open(path, framework="pt") as tensors:
        yield tensors


def check_json_size(text: bytes | str) -> None:
    """Raise `ValueError` for JSON that holds too many values to be parsed in little memory."""
    n_bytes = sum(
        n * (text.count(sign.encode()) if isinstance(text, bytes) else text.count(sign))
        for sign, n in _PARSED_BYTES.items()
    )
    if n_bytes > MAX_PARSED_BYTES:
        raise ValueError("it holds too many single values")


def is_usable(node: object) -> bool:
    """Return whether it is a tensor without NaN; infinity may be intended, as in a mask."""
    if not isinstance(node, torch.Tensor):
        return False
    # The minimum is NaN where any number is; no mask of the tensor's size is made.
    return not (node.is_floating_point() and node.numel() and bool(node.amin().isnan()))


def reason_of(error: BaseException) -> str:
    """Return why a file cannot be read, as a clause without control characters from the file."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):
        return f"{printable(error)[:_MAX_REASON]} is missing"
    return printable(str(error))[:_MAX_REASON].rstrip(".") or type(error).__name__


def printable(text: object) -> str:
    """Return one line without terminal control characters."""
    words = " ".join(str(text).split())
    return "".join(c if unicodedata.category(c)[0] != "C" else "\ufffd" for c in words)
