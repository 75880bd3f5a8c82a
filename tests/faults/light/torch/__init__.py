"""A stand-in for torch in the workers of fault tests whose objective is a plain function.

Such an objective gets a fresh process per trial, and importing torch takes two seconds of a core.
Agents load no torch, and everything else in the worker is the product's own code.
"""

from types import SimpleNamespace


class Tensor:
    """Nothing is one."""


class _NoMemory(RuntimeError):
    pass


cuda = SimpleNamespace(
    OutOfMemoryError=_NoMemory, is_available=lambda: False, is_initialized=lambda: False
)
default_generator = SimpleNamespace(manual_seed=lambda seed: None)


def set_num_threads(n_threads: int) -> None:
    """There is nothing to share."""
