"""Errors of training with special consequences."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HERE = str(Path(__file__).parents[1])  # the package's own folder

# Message of torch's CPU allocator, in a plain RuntimeError.
_NO_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")


class ModelMistake(Exception):
    """The user's model breaks the rules; a retry would fail again."""


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
    """Return whether tuner's signal handler raised it while the user's code ran."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(_HERE)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the device, or the machine, had no memory left."""
    torch = sys.modules.get("torch")  # not loaded: then the error is none of its kinds
    if isinstance(error, MemoryError):
        return True
    if torch is not None and isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
