"""The built-in multilayer perceptron as an ordinary module, for cases its lean stack excludes.

Weights are torch's, (outputs, inputs). Initial values are those of the lean stack.
"""

from itertools import pairwise

import torch

from tuner.study.trial import Params
from tuner.training.initial import initial_layer
from tuner.training.settings import settings_of

ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU}


def mlp_module(
    n_features: int,
    n_outputs: int,
    *,
    n_layers: int,
    width: int,
    activation: str,
    dropout: float,
) -> torch.nn.Module:
    """Build linear layers `hidden.0`, `hidden.1`, ... and `output`."""
    return _MLP(n_features, n_outputs, n_layers, width, ACTIVATIONS[activation](), dropout)


def initialize_mlp(module: torch.nn.Module, params: Params, seed: int) -> None:
    """Set the values that a lane of this seed starts from, in either kind of stack."""
    lane = settings_of(params)
    with torch.no_grad():
        for name, layer in module.named_modules():
            if isinstance(layer, torch.nn.Linear):
                n_out, n_in = layer.weight.shape
                weight, bias = initial_layer(lane, seed, name, n_in, n_out)
                layer.weight.copy_(weight.T)
                layer.bias.copy_(bias[0])


class _MLP(torch.nn.Module):
    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        n_layers: int,
        width: int,
        activation: torch.nn.Module,
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = [n_features, *[width] * n_layers]
        self.hidden = torch.nn.ModuleList(
            torch.nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sizes)
        )
        self.dropout = torch.nn.ModuleList(torch.nn.Dropout(dropout) for _ in self.hidden)
        self.activation = activation
        self.output = torch.nn.Linear(sizes[-1], n_outputs)

    def forward(self, x_BF: torch.Tensor) -> torch.Tensor:
        for layer, dropout in zip(self.hidden, self.dropout, strict=True):
            x_BF = dropout(self.activation(layer(x_BF)))
        return self.output(x_BF)  # type: ignore[no-any-return]
