"""Activation functions and their derivatives, written into existing buffers."""

from typing import Protocol

import torch


class Activation(Protocol):
    """An elementwise function."""

    def forward(self, z: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor: ...

    def backward(self, d: torch.Tensor, z: torch.Tensor, a: torch.Tensor) -> None:
        """Multiply `d` in place by the derivative at `z`; `a` is the function's value there."""


class ReLU:
    """max(z, 0)."""

    def forward(self, z: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
        return torch.clamp_min(z, 0, out=out)

    def backward(self, d: torch.Tensor, z: torch.Tensor, a: torch.Tensor) -> None:
        torch.ops.aten.threshold_backward.grad_input(d, a, 0, grad_input=d)


class Tanh:
    """The hyperbolic tangent."""

    def forward(self, z: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z, out=out)

    def backward(self, d: torch.Tensor, z: torch.Tensor, a: torch.Tensor) -> None:
        torch.ops.aten.tanh_backward.grad_input(d, a, grad_input=d)


class GELU:
    """z times the normal distribution function at z (Hendrycks & Gimpel, 2016), exact."""

    def forward(self, z: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
        torch.ops.aten.gelu.out(z, out=out)
        return out

    def backward(self, d: torch.Tensor, z: torch.Tensor, a: torch.Tensor) -> None:
        torch.ops.aten.gelu_backward.grad_input(d, z, grad_input=d)


ACTIVATIONS: dict[str, Activation] = {"relu": ReLU(), "tanh": Tanh(), "gelu": GELU()}
