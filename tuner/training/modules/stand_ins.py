"""Calls of a module in which other tensors replace its parameters and buffers.

It works like `torch.func.functional_call`, which searches for all tensors at every call: that took
as long as the forward pass of a small model.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import torch

_Place = tuple[dict[str, torch.Tensor | None], str]  # where a module keeps it, and its name there


class StandIns:
    """Replaces a module's tensors for a call, and restores them."""

    def __init__(self, module: torch.nn.Module, names: Sequence[str]) -> None:
        """Find the `names` of parameters and buffers; a shared one has several places."""
        self._module = module
        places = _places_of(module)
        own = dict(chain(module.named_parameters(), module.named_buffers()))
        self._own = [own[name] for name in names]
        self._places = [places[id(tensor)] for tensor in self._own]

    def call(self, tensors: Iterable[torch.Tensor], x: torch.Tensor) -> object:
        """Call the module with these tensors, in the order of the names."""
        try:
            self._put(tensors)
            return self._module(x)
        finally:
            self._put(self._own)

    def _put(self, tensors: Iterable[torch.Tensor]) -> None:
        for places, tensor in zip(self._places, tensors, strict=True):
            for holder, name in places:
                holder[name] = tensor


def _places_of(module: torch.nn.Module) -> dict[int, list[_Place]]:
    places: dict[int, list[_Place]] = {}
    for part in module.modules():
        for holder in (part._parameters, part._buffers):
            for name, tensor in holder.items():
                if tensor is not None:
                    places.setdefault(id(tensor), []).append((holder, name))  # type: ignore[arg-type]
    return places
