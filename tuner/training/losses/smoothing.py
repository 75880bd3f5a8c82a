"""Label smoothing of each lane. Shapes: S steps, K lanes, C classes, B batch."""

from collections.abc import Sequence

import torch


class LabelSmoothing:
    """Moves a share of each target to all classes alike (Szegedy et al., 2016).

    A row keeps the sum of its targets, and so its weight.
    """

    def __init__(self, shares: Sequence[float], like: torch.Tensor) -> None:
        """Build it from each lane's share; `like` gives device and dtype."""
        share_K = torch.tensor(shares, dtype=like.dtype, device=like.device)
        self._share_K11 = share_K[:, None, None]
        self._rest_K11 = 1 - self._share_K11

    def of(self, target_SKCB: torch.Tensor) -> torch.Tensor:
        """Return new targets (S, K, C, B); with a share of 0, those that were given."""
        mean_SK1B = target_SKCB.mean(2, keepdim=True)
        return torch.mul(target_SKCB, self._rest_K11).add_(mean_SK1B * self._share_K11)
