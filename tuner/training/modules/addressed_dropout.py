"""Dropout for modules of any kind: a hash of (trial seed, layer name, step, element).

It mixes like `randomness.DropoutMasks`: an element's place and the address (seed, layer, step) are
hashed separately, and then their exclusive or. No tensor that vmap has not batched is written in
place. Shapes: K lanes, S steps, L dropout layers.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch.nn.modules.dropout import _DropoutNd

from tuner.study.seeds import derive_seed
from tuner.training.randomness import GOLDEN_64, MIX_32, MIX_64, mix

_KEY = "key"
# Extent of one mask value: an element, or everything after the channel.
_SPATIAL_DIMS: Mapping[type[torch.nn.Module], int] = {
    torch.nn.Dropout: 0,
    torch.nn.Dropout1d: 1,
    torch.nn.Dropout2d: 2,
    torch.nn.Dropout3d: 3,
}


class AddressedDropout(torch.nn.Module):
    """Replaces torch's dropout modules; `key` holds the hashed address of the step.

    A layer that is called several times in a step continues to count its elements, so that no two
    of its masks are alike. `begin_step` resets the count.
    """

    key: torch.Tensor  # int32, of one lane

    def __init__(self, rate: float, spatial_dims: int) -> None:
        super().__init__()
        self.rate = rate
        self._spatial_dims = spatial_dims
        self.register_buffer(_KEY, torch.zeros((), dtype=torch.int32), persistent=False)
        self._n_drawn = 0
        self._n_calls = 0
        self._places: dict[tuple[int, torch.Size], torch.Tensor] = {}

    def begin_step(self) -> None:
        """Reset the count of elements."""
        self._n_drawn = self._n_calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` with the elements of this step's mask zeroed and the others scaled."""
        if not self.training or self.rate == 0:
            return x
        if self.rate == 1:
            return x * 0
        n_dims = max(1, x.dim() - self._spatial_dims)
        shape = torch.Size([*x.shape[:n_dims], *[1] * (x.dim() - n_dims)])
        hashed = _mix_32(torch.bitwise_xor(self._next_places(shape, x.device), self.key))
        # signed hashes: an element falls when its hash is below the threshold
        is_kept = hashed >= math.floor(self.rate * 2**32) - 2**31
        return x * (is_kept.to(x.dtype) * (1 / (1 - self.rate)))

    def _next_places(self, shape: torch.Size, device: torch.device) -> torch.Tensor:
        """Return the hashed numbers of the next elements."""
        if torch._C._current_graph_task_id() != -1:  # checkpointing runs forward again, backward
            assert self._n_calls == 1, (
                "a dropout module that is called several times in a step cannot be run again by "
                "activation checkpointing; give each call a module of its own"
            )
            self._n_drawn = self._n_calls = 0
        first, n = self._n_drawn, math.prod(shape)
        self._n_drawn += n
        self._n_calls += 1
        found = self._places.get((first, shape))
        if found is None or found.device != device:
            numbers = torch.arange(first, first + n, dtype=torch.int32, device=device)
            found = mix(numbers, MIX_32, bits=32).view(shape)
            self._places[first, shape] = found
        return found


def replace_dropouts(module: torch.nn.Module) -> dict[str, AddressedDropout]:
    """Replace torch's dropout modules and return them by name; subclasses are left alone."""
    replaced: dict[int, AddressedDropout] = {}
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if type(child) not in _SPATIAL_DIMS or not isinstance(child, _DropoutNd):
                continue
            if id(child) not in replaced:  # one that stands in several places stays one
                dropout = AddressedDropout(child.p, _SPATIAL_DIMS[type(child)])
                replaced[id(child)] = dropout.train(child.training)
            setattr(parent, name, replaced[id(child)])
    return {
        name: child for name, child in module.named_modules() if isinstance(child, AddressedDropout)
    }


def key_name(dropout_name: str) -> str:
    """Return the name of the key among the module's buffers."""
    return f"{dropout_name}.{_KEY}"


class DropoutKeys:
    """The keys of all dropout layers of some lanes."""

    def __init__(self, seeds: Sequence[int], names: Sequence[str], device: torch.device) -> None:
        addresses = [[derive_seed(seed, "dropout", name) for seed in seeds] for name in names]
        # the address fills the upper half, so that the steps below it never reach another's
        address_LK = torch.tensor(addresses, dtype=torch.int64, device=device) << 32
        self._address_LK = address_LK.view(len(names), len(seeds))

    def of_steps(self, first_steps_K: torch.Tensor, n_steps: int) -> torch.Tensor:
        """Return the keys (S, L, K) of the steps that follow each lane's `first_steps_K`."""
        steps_S11 = torch.arange(n_steps, device=first_steps_K.device)[:, None, None]
        key_SLK = self._address_LK + steps_S11 + first_steps_K
        return (mix(key_SLK.mul_(GOLDEN_64), MIX_64, bits=64) >> 32).int()


def _mix_32(x: torch.Tensor) -> torch.Tensor:
    """Apply `randomness.mix` for 32 bits without buffers: vmap takes no `out=`."""
    for shift, factor in MIX_32:
        x = _xor_shift(x, shift) * factor
    return _xor_shift(x, 16)


def _xor_shift(x: torch.Tensor, shift: int) -> torch.Tensor:
    # Torch shifts signed integers arithmetically: the copies of the sign bit are cut off.
    return x ^ ((x >> shift) & ((1 << (32 - shift)) - 1))
