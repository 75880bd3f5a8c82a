"""Errors of training that are more than an error: what follows from them."""

import torch

# What torch's CPU allocator says in a plain RuntimeError.
_NO_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")


class ModelMistake(Exception):
    """The user's model does not keep to the rules; trying it again is no use."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the machine, had no memory left."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
