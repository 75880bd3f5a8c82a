"""Errors that training raised, by what has to follow."""

import torch

from tuner.messages import How

# What torch's CPU allocator says in a plain RuntimeError.
_NO_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")


def how_it_failed(error: Exception) -> How:
    """OUT_OF_MEMORY or EXCEPTION."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return How.OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY):
        return How.OUT_OF_MEMORY
    return How.EXCEPTION
