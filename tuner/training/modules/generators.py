"""The global generators of Python, NumPy and torch: seeded for user code and restored."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.random  # at once, in a process that is a spare: NumPy loads it when it is first used
import torch


@contextmanager
def generators_kept(device: "torch.device") -> Iterator[None]:
    """Restore the global generators on every exit."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    cpu = torch.default_generator.get_state()
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
        torch.default_generator.set_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, device)


def seed_generators(seed: int, device_type: str) -> None:
    """Start all of them from `seed`, 0 .. 2**32 - 1; `device_type` as torch.device's."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # `torch.manual_seed` also looks at every back end
    if device_type == "cuda":
        torch.cuda.manual_seed(seed)


def generators_state() -> object:
    """Return an object that differs once a generator on the CPU has been drawn from."""
    cpu = torch.default_generator.get_state()
    return random.getstate(), str(np.random.get_state()), cpu.numpy().tobytes()
