"""Positions of a lane's trained parameters in its row of the stack.

Shapes: K lanes, D numbers of one lane with their padding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch

_ALIGNMENT = 16  # floats: 64 bytes, so that a lane's place in the stack cannot choose a kernel


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One trained tensor and its position in a lane's row."""

    name: str
    shape: tuple[int, ...]
    offset: int
    is_weight: bool  # whether an L1 penalty counts it: weights, not biases

    def of(self, row_D: torch.Tensor) -> torch.Tensor:
        """Return the parameter as a view into one row (D,) or into a stack of rows (K, D)."""
        flat = row_D[..., self.offset : self.offset + prod(self.shape)]
        return flat.view(*row_D.shape[:-1], *self.shape)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All parameters of a lane, by position."""

    parameters: tuple[Parameter, ...]
    n_total: int  # D

    def by_name(self, row_D: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return views into a row (D,) or a stack of rows (K, D)."""
        return {parameter.name: parameter.of(row_D) for parameter in self.parameters}

    def fill(self, row_D: torch.Tensor, values: Mapping[str, torch.Tensor]) -> None:
        """Write all parameters of a row; raises `ValueError` or `KeyError` if they do not fit."""
        for parameter in self.parameters:
            value = values[parameter.name]
            if tuple(value.shape) != parameter.shape:
                raise ValueError(f"{parameter.name} has shape {tuple(value.shape)}")
            parameter.of(row_D).copy_(value)


def lay_out(parts: Sequence[tuple[str, tuple[int, ...], bool]]) -> Layout:
    """Lay out (name, shape, is_weight) one after the other, each aligned."""
    parameters, offset = [], 0
    for name, shape, is_weight in parts:
        parameters.append(Parameter(name=name, shape=shape, offset=offset, is_weight=is_weight))
        offset += padded(prod(shape))
    return Layout(parameters=tuple(parameters), n_total=offset)


def padded(n: int) -> int:
    """Return the next multiple of the alignment."""
    return -(-n // _ALIGNMENT) * _ALIGNMENT
