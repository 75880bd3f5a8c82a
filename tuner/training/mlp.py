"""The multilayer perceptron of K lanes, stacked: forward and a backward pass written by hand.

Shapes: K lanes, B batch, F inputs of a layer, H its outputs, C outputs of the model, D parameters
of one lane with their padding. Weights are stored (F, H): the transpose of torch.nn.Linear's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod, sqrt

import torch

from tuner.training.activations import Activation
from tuner.training.randomness import uniform

_ALIGNMENT = 16  # floats: 64 bytes, so that a lane's place in the stack cannot choose a kernel


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One weight or bias and its place in a lane's row of parameters."""

    name: str
    shape: tuple[int, int]  # (F, H), biases (1, H)
    offset: int
    bound: float  # initial values are uniform in [-bound, bound)

    def of(self, row_D: torch.Tensor) -> torch.Tensor:
        """The parameter as a view into one row (D,) or into a stack of rows (K, D)."""
        flat = row_D[..., self.offset : self.offset + prod(self.shape)]
        return flat.view(*row_D.shape[:-1], *self.shape)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where each parameter lies in a lane's row: all weights first, then all biases."""

    weights: tuple[Parameter, ...]
    biases: tuple[Parameter, ...]
    n_weights: int  # length of the part that holds weights, with its padding
    n_total: int  # D

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.weights + self.biases

    def initial(self, seed: int, like: torch.Tensor) -> torch.Tensor:
        """A new row (D,) of a trial."""
        row_D = torch.zeros(self.n_total, dtype=like.dtype, device=like.device)
        for parameter in self.parameters:
            values = uniform(seed, parameter.name, parameter.shape, parameter.bound)
            parameter.of(row_D).copy_(values)
        return row_D


def layout_of(n_features: int, n_outputs: int, *, n_layers: int, width: int) -> Layout:
    """The layout of an MLP with `n_layers` hidden layers.

    Initial values as torch.nn.Linear.reset_parameters draws them: Kaiming-uniform with
    a = sqrt(5) (He et al., 2015), that is uniform within 1 / sqrt(fan_in), biases too.
    """
    sizes = [n_features, *[width] * n_layers, n_outputs]
    names = [*(f"hidden.{i}" for i in range(n_layers)), "output"]
    offset, weights, biases = 0, [], []
    for name, (n_in, n_out) in zip(names, pairwise(sizes), strict=True):
        weights.append(_place(f"{name}.weight", (n_in, n_out), offset, n_in))
        offset += _padded(n_in * n_out)
    n_weights = offset
    for name, (n_in, n_out) in zip(names, pairwise(sizes), strict=True):
        biases.append(_place(f"{name}.bias", (1, n_out), offset, n_in))
        offset += _padded(n_out)
    return Layout(weights=tuple(weights), biases=tuple(biases), n_weights=n_weights, n_total=offset)


def _place(name: str, shape: tuple[int, int], offset: int, fan_in: int) -> Parameter:
    return Parameter(name=name, shape=shape, offset=offset, bound=1 / sqrt(fan_in))


def _padded(n: int) -> int:
    return -(-n // _ALIGNMENT) * _ALIGNMENT


class StackedMLP:
    """Forward and backward over parameters and gradients that it is given as stacked rows."""

    def __init__(
        self,
        layout: Layout,
        activation: Activation,
        parameters_KD: torch.Tensor,
        gradients_KD: torch.Tensor,
    ) -> None:
        self.n_lanes = len(parameters_KD)
        self._activation = activation
        self._weights = [p.of(parameters_KD) for p in layout.weights]
        self._weights_t = [weight_KFH.transpose(1, 2) for weight_KFH in self._weights]
        self._biases = [p.of(parameters_KD) for p in layout.biases]
        self._weight_grads = [p.of(gradients_KD) for p in layout.weights]
        self._bias_grads = [p.of(gradients_KD) for p in layout.biases]
        self._buffers: dict[int, Buffers] = {}

    def buffers(self, batch: int) -> "Buffers":
        """The buffers for this batch size, allocated once."""
        if batch not in self._buffers:
            self._buffers[batch] = Buffers(self._weights, batch)
        return self._buffers[batch]

    def forward(
        self, x_KBF: torch.Tensor, masks: Sequence[torch.Tensor], buffers: "Buffers"
    ) -> torch.Tensor:
        """The model's output (K, B, C), in a buffer; `masks` (K, B, H) per layer, or none."""
        *hidden, (bias_K1C, weight_KFC) = zip(self._biases, self._weights, strict=True)
        for layer, (bias_K1H, weight_KFH) in enumerate(hidden):
            z, a = buffers.z[layer], buffers.a[layer]
            torch.baddbmm(bias_K1H, x_KBF, weight_KFH, out=z.KBH)
            self._activation.forward(z.padded, out=a.padded)
            x_KBF = a.KBH
            if masks:
                x_KBF = torch.mul(x_KBF, masks[layer], out=buffers.dropped[layer].KBH)
        if buffers.product is None:
            return torch.baddbmm(bias_K1C, x_KBF, weight_KFC, out=buffers.output)
        # One column: a lane alone would go through another kernel and round differently.
        torch.mul(x_KBF, self._weights_t[-1], out=buffers.product)
        return torch.sum(buffers.product, 2, keepdim=True, out=buffers.output).add_(bias_K1C)

    def backward(
        self, x_KBF: torch.Tensor, masks: Sequence[torch.Tensor], buffers: "Buffers"
    ) -> None:
        """Write the gradients, from `buffers.d_output` and what `forward` left there."""
        d_KBH = buffers.d_output
        inputs = buffers.dropped if masks else buffers.a
        for layer in range(len(buffers.z), -1, -1):
            x_KFB = inputs[layer - 1].KHB if layer else x_KBF.transpose(1, 2)
            torch.bmm(x_KFB, d_KBH, out=self._weight_grads[layer])
            torch.sum(d_KBH, 1, keepdim=True, out=self._bias_grads[layer])
            if layer:
                d, z, a = (rows[layer - 1] for rows in (buffers.d, buffers.z, buffers.a))
                d_KBH = torch.bmm(d_KBH, self._weights_t[layer], out=d.KBH)
                if masks:
                    d_KBH.mul_(masks[layer - 1])
                self._activation.backward(d.padded, z.padded, a.padded)


class Buffers:
    """Activations and their gradients for one batch size."""

    def __init__(self, weights: Sequence[torch.Tensor], batch: int) -> None:
        hidden = weights[:-1]
        self.z = [_Rows(weight_KFH, batch) for weight_KFH in hidden]
        self.a = [_Rows(weight_KFH, batch) for weight_KFH in hidden]
        self.d = [_Rows(weight_KFH, batch) for weight_KFH in hidden]
        self.dropped = [_Rows(weight_KFH, batch) for weight_KFH in hidden]
        # Contiguous: softmax's backward kernel writes to any other buffer as if it were.
        n_lanes, n_in, n_out = weights[-1].shape
        self.output = weights[-1].new_empty(n_lanes, batch, n_out)
        self.d_output = torch.empty_like(self.output)
        self.product = self.output.new_empty(n_lanes, batch, n_in) if n_out == 1 else None


class _Rows:
    """What a layer writes: each lane's part aligned like its weights, with padding after it.

    Activations run over the padding too: it keeps the rows contiguous, and a kernel that treats
    the end of its input apart treats it alike for every lane.
    """

    def __init__(self, weight_KFH: torch.Tensor, batch: int) -> None:
        n_lanes, _, n_out = weight_KFH.shape
        self.padded = weight_KFH.new_zeros(n_lanes, _padded(batch * n_out))
        self.KBH = self.padded[:, : batch * n_out].view(n_lanes, batch, n_out)
        self.KHB = self.KBH.transpose(1, 2)
