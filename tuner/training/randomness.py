"""Addressed randomness: a draw depends on its address alone, so a resume is exact.

Nothing here reads or advances a global generator, and no generator state needs saving. Shapes: K
lanes, S steps, L hidden layers, B batch, H width, N rows.
"""

import math
from collections.abc import Sequence

import torch

from tuner.study.seeds import derive_seed

# Steele, Lea & Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014): splitmix64.
GOLDEN_64 = 0x9E3779B97F4A7C15 - 2**64
MIX_64 = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))
# Appleby's MurmurHash3, 32-bit finalizer.
MIX_32 = ((16, 0x85EBCA6B - 2**32), (13, 0xC2B2AE35 - 2**32))


def row_order(data_seed: int, epoch: int, n_rows: int) -> torch.Tensor:
    """Return the order (N,) of the rows in epoch `epoch` (from 0): the same for all trials."""
    return torch.randperm(n_rows, generator=_generator(derive_seed(data_seed, "order", epoch)))


def uniform(seed: int, name: str, shape: Sequence[int], bound: float) -> torch.Tensor:
    """Draw initial values of a trial's parameter `name`, from [-bound, bound), float32."""
    values = torch.rand(*shape, generator=_generator(derive_seed(seed, "initial", name)))
    return values.mul_(2 * bound).sub_(bound)


def normal(seed: int, name: str, shape: Sequence[int]) -> torch.Tensor:
    """Draw initial values of a trial's parameter `name` from the normal distribution, float32."""
    return torch.randn(*shape, generator=_generator(derive_seed(seed, "initial", name)))


def bits(seed: int, n: int) -> torch.Tensor:
    """Draw booleans (n,), true with probability one half."""
    return torch.rand(n, generator=_generator(derive_seed(seed, "bits"))) < 0.5


def whole_numbers(seed: int, shape: Sequence[int], below: torch.Tensor) -> torch.Tensor:
    """Draw whole numbers from 0 to before `below`, which is broadcast to `shape`."""
    drawn = torch.rand(*shape, generator=_generator(derive_seed(seed, "whole numbers")))
    return (drawn * below).long()


def _generator(seed: int) -> torch.Generator:
    # Always on the CPU, so that every device trains from the same numbers.
    return torch.Generator().manual_seed(seed)


class DropoutMasks:
    """Dropout masks as a hash of (trial seed, layer, step, element).

    An element's place (row and unit) is hashed once, the address (seed, layer, step) by splitmix64,
    and their exclusive or by MurmurHash3's finalizer. With unhashed places, steps with similar
    addresses would share one mask with its elements permuted.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        rates: Sequence[float],
        *,
        n_layers: int,
        n_steps: int,
        batch: int,
        width: int,
        like: torch.Tensor,
    ) -> None:
        """Allocate buffers for `n_steps` steps of every lane; `like` gives device and dtype."""
        device, shape = like.device, (n_layers, n_steps, len(seeds), batch, width)
        addresses = [[derive_seed(s, "dropout", layer) for s in seeds] for layer in range(n_layers)]
        # the address fills the upper half, so that the steps below it never reach another's
        self._address_L1K = torch.tensor(addresses, device=device)[:, None, :] << 32
        self._steps_S1 = torch.arange(n_steps, device=device)[:, None]
        place_BH = torch.arange(batch * width, dtype=torch.int32, device=device).view(batch, width)
        self._place_BH = mix(place_BH, MIX_32, bits=32)
        # Signed hashes: an element falls when its hash is below the threshold.
        thresholds = [math.floor(rate * 2**32) - 2**31 for rate in rates]
        self._threshold_K11 = torch.tensor(thresholds, device=device)[:, None, None].int()
        scales = [1 / (1 - rate) for rate in rates]
        self._scale_K11 = torch.tensor(scales, dtype=like.dtype, device=device)[:, None, None]
        self._hash_LSKBH = torch.empty(shape, dtype=torch.int32, device=device)
        self._shifted_LSKBH = torch.empty_like(self._hash_LSKBH)
        self._mask_LSKBH = torch.empty(shape, dtype=like.dtype, device=device)
        self.by_step = [list(step.unbind(0)) for step in self._mask_LSKBH.unbind(1)]  # [S][L] KBH

    def fill(self, first_steps_K: torch.Tensor) -> None:
        """Fill the masks of the steps that follow each lane's `first_steps_K` (int64)."""
        key_LSK = self._address_L1K + self._steps_S1 + first_steps_K
        key_LSK = mix(key_LSK.mul_(GOLDEN_64), MIX_64, bits=64)
        key_LSK11 = (key_LSK >> 32).int()[..., None, None]
        torch.bitwise_xor(self._place_BH, key_LSK11, out=self._hash_LSKBH)
        mix(self._hash_LSKBH, MIX_32, bits=32, buffer=self._shifted_LSKBH)
        # compared straight into floats: through booleans it takes three times as long
        torch.ge(self._hash_LSKBH, self._threshold_K11, out=self._mask_LSKBH)
        self._mask_LSKBH.mul_(self._scale_K11)


def mix(
    x: torch.Tensor,
    rounds: Sequence[tuple[int, int]],
    *,
    bits: int,
    buffer: torch.Tensor | None = None,
) -> torch.Tensor:
    """Apply a finalizer in place: xor-shift and multiply, twice, and a last xor-shift."""
    buffer = torch.empty_like(x) if buffer is None else buffer
    last = 31 if bits == 64 else 16
    for shift, factor in rounds:
        _xor_shift(x, shift, bits, buffer).mul_(factor)
    return _xor_shift(x, last, bits, buffer)


def _xor_shift(x: torch.Tensor, shift: int, bits: int, buffer: torch.Tensor) -> torch.Tensor:
    # Torch shifts signed integers arithmetically: the copies of the sign bit are cut off.
    torch.bitwise_right_shift(x, shift, out=buffer)
    return x.bitwise_xor_(buffer.bitwise_and_((1 << (bits - shift)) - 1))
