"""Random changes of training images, addressed by (data seed, epoch, position): a resume is exact.

Shapes: K lanes, N rows, R rows of a block, F features, C channels, H height, W width.
"""

from collections.abc import Callable, Sequence

import torch

from tuner.study.seeds import derive_seed
from tuner.training.randomness import bits, whole_numbers

FLIP, CROP = "flip", "crop"
_SHIFT = 8  # a crop moves an image by at most this part of its height and width


class Augmentation:
    """Changes the images of an epoch, each in its own way; lanes at the same epoch share them."""

    def __init__(self, names: Sequence[str], shape: tuple[int, int, int], data_seed: int) -> None:
        """Take the names of the changes and the shape (C, H, W) of an image."""
        self._names = names
        self._shape = shape
        self._data_seed = data_seed

    def epoch(
        self, epochs: Sequence[int], n_rows: int, device: torch.device
    ) -> Callable[[torch.Tensor, int], torch.Tensor]:
        """Return the function that changes rows (K or 1, R, F), the first one at a position.

        `epochs` is that of each lane, or one for all of them.
        """
        draws = [self._draw(epoch, n_rows) for epoch in epochs]
        flip_KN, shift_KN2 = (torch.stack(part).to(device) for part in zip(*draws, strict=True))

        def change(x_KRF: torch.Tensor, first: int) -> torch.Tensor:
            place = slice(first, first + x_KRF.shape[1])
            x = x_KRF.reshape(-1, *self._shape)
            if FLIP in self._names:
                is_flipped = flip_KN[:, place].reshape(-1, 1, 1, 1)
                x = torch.where(is_flipped, x.flip(3), x)
            if CROP in self._names:
                x = _shifted(x, shift_KN2[:, place].reshape(-1, 2))
            return x.reshape(x_KRF.shape)

        return change

    def _draw(self, epoch: int, n_rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which rows are flipped (N,), and by how many pixels rows are moved (N, 2)."""
        seed = derive_seed(self._data_seed, "augment", epoch)
        most = torch.tensor([max(1, side // _SHIFT) for side in self._shape[1:]])
        shift_N2 = whole_numbers(seed, (n_rows, 2), 2 * most + 1) - most
        return bits(seed, n_rows), shift_N2


def _shifted(x_RCHW: torch.Tensor, shift_R2: torch.Tensor) -> torch.Tensor:
    """Move each image by its shift; pixels from outside are 0, the mean."""
    n_rows, _, height, width = x_RCHW.shape
    device = x_RCHW.device
    rows = torch.arange(n_rows, device=device)[:, None, None]
    y_R11 = torch.arange(height, device=device)[:, None] + shift_R2[:, :1, None]
    x_R1W = torch.arange(width, device=device) + shift_R2[:, 1:, None]
    is_inside = (y_R11 >= 0) & (y_R11 < height) & (x_R1W >= 0) & (x_R1W < width)
    moved = x_RCHW[rows, :, y_R11.clamp(0, height - 1), x_R1W.clamp(0, width - 1)]
    return (moved * is_inside[..., None]).permute(0, 3, 1, 2)
