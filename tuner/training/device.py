"""The device of a training in this process, and its number of threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tuner.errors import CannotWork
from tuner.study.trial import Params
from tuner.training.device_words import split_device
from tuner.training.model import Model


def open_device(asked: str | None, n_threads: int) -> str:
    """Return the requested torch device; by default a GPU if there is one.

    Raises `CannotWork` for a missing GPU, so that training never silently uses the CPU, and
    `UsageError` for an invalid device.
    """
    torch.set_num_threads(n_threads)
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked is None:
        return "cuda:0" if n_gpus else "cpu"
    kind, number = split_device(asked)
    if kind == "cpu":
        return "cpu"
    if number >= n_gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
        raise CannotWork(f"--device {asked}: torch sees {n_gpus} GPUs here{why}; use --device cpu")
    return f"cuda:{number}"


def name_device(device: str) -> str:
    """Return the device's name for display: a GPU with its product's name."""
    return f"{device}, {torch.cuda.get_device_name(device)}" if device != "cpu" else device


@contextmanager
def fitting_threads(model: Model, params: Params) -> Iterator[None]:
    """Use one thread for a small model, otherwise all of the process."""
    n_threads = torch.get_num_threads()
    if n_threads == 1 or not model.is_small(params):
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
