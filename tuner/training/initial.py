"""Initial values of a layer, addressed by (seed, name): the same on every device."""

from math import sqrt

import torch

from tuner.training.randomness import normal, uniform
from tuner.training.settings import Settings

OUTPUT = "output"  # the name of the last layer, which no activation follows
# As torch.nn.init.calculate_gain; it has none for GELU, whose slope is nearly that of ReLU.
_GAINS = {"relu": sqrt(2), "tanh": 5 / 3, "gelu": sqrt(2)}


def initial_layer(
    lane: Settings, seed: int, name: str, n_in: int, n_out: int, *, field: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weight (n_in, n_out) and the bias (1, n_out) of a layer, float32.

    `n_in` counts the inputs of a unit, and `field` is the number of pixels of a kernel.

    `torch` draws both as torch.nn.Linear does: kaiming-uniform with a = sqrt(5), which is within
    1 / sqrt(n_in). The others begin with biases of zero: `kaiming` (He et al., 2015) and `xavier`
    (Glorot & Bengio, 2010) are uniform, and `orthogonal` is that of Saxe et al. (2014). Kaiming and
    orthogonal have the gain of the activation that follows.
    """
    gain = 1.0 if name == OUTPUT else _GAINS[lane.activation]
    weight_name, shape = f"{name}.weight", (n_in, n_out)
    match lane.init:
        case "kaiming":
            weight = uniform(seed, weight_name, shape, gain * sqrt(3 / n_in))
        case "xavier":
            weight = uniform(seed, weight_name, shape, sqrt(6 / (n_in + n_out * field)))
        case "orthogonal":
            weight = _orthogonal(normal(seed, weight_name, shape), gain)
        case _:
            bound = 1 / sqrt(n_in)
            bias = uniform(seed, f"{name}.bias", (1, n_out), bound)
            return uniform(seed, weight_name, shape, bound), bias
    return weight, torch.zeros(1, n_out)


def _orthogonal(drawn: torch.Tensor, gain: float) -> torch.Tensor:
    """Return the orthogonal factor of a draw, whose shorter side is orthonormal, times `gain`."""
    is_wide = drawn.shape[0] < drawn.shape[1]
    # In float64, so that the number of threads of the factorization leaves no trace in float32.
    q, r = torch.linalg.qr((drawn.T if is_wide else drawn).double())
    scaled: torch.Tensor = q * r.diagonal().sign() * gain  # without the signs it is not uniform
    return (scaled.T if is_wide else scaled).float()
