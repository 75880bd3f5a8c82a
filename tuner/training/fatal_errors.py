"""Errors of training that are more than an error: what follows from them."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

_HERE = str(Path(__file__).parents[1])  # the package's own folder

# What torch's CPU allocator says in a plain RuntimeError.
_NO_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")


class ModelMistake(Exception):
    """The user's model does not keep to the rules; trying it again is no use."""


class ModelExit(Exception):
    """The user's model or loss raised `SystemExit` or `KeyboardInterrupt`: an error like others."""


@contextmanager
def exits_are_errors() -> Iterator[None]:
    """Run the user's code; raise `ModelExit` if it tries to end the process."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as error:
        if is_our_interrupt(error):
            raise
        what = f"{type(error).__name__}({error})"
        raise ModelExit(f"the model or the loss raised {what}") from error


def is_our_interrupt(error: BaseException) -> bool:
    """Whether a signal handler of ours has raised it, in the middle of the user's code."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(_HERE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the machine, had no memory left."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
