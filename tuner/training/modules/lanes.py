"""The two ways to run modules over stacked rows: all lanes at once, or one lane as it is.

The rows belong to the group. Autograd cannot use tensors of inference mode, so the modules have
copies of those. Shapes: K lanes, L dropout layers, B batch, F features, C outputs.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from tuner.study.seeds import derive_seed
from tuner.training.fatal_errors import ModelMistake
from tuner.training.model import Rows
from tuner.training.modules.addressed_dropout import key_name
from tuner.training.modules.generators import seed_generators
from tuner.training.modules.stand_ins import StandIns
from tuner.training.modules.template import Template, buffers_of

_ALL = slice(None)


class ModuleLanes(Protocol):
    """Modules whose tensors follow the rows; called outside of inference mode."""

    def read_parameters(self) -> None:
        """Read the parameters from the rows, after an update of them."""

    def read_buffers(self) -> None:
        """Read the buffers from the rows."""

    def buffers(self) -> Mapping[str, torch.Tensor]:
        """Return the present buffers, each (K, ...)."""

    def train(self, x_KBF: torch.Tensor, keys_LK: torch.Tensor, step: int) -> torch.Tensor:
        """Return the outputs (K, B, C), with their graph; `step` is that of the first lane."""

    def gradients(
        self, output_KBC: torch.Tensor, d_output_KBC: torch.Tensor
    ) -> Sequence[torch.Tensor | None]:
        """Return gradients in layout order; each (K, ...) or that of the only lane."""

    def evaluate(self, x_KBF: torch.Tensor, lanes: slice) -> torch.Tensor:
        """Return the outputs (k, B, C) of some lanes."""


class FusedLanes:
    """All lanes in one pass: torch.vmap over calls of one module."""

    def __init__(
        self, template: Template, rows: Rows, n_outputs: int, *, is_bfloat16: bool
    ) -> None:
        self._template = template
        self._rows = rows
        self._n_outputs = n_outputs
        self._is_bfloat16 = is_bfloat16
        self._parameters_KD = ordinary(rows.parameters_KD)
        views = template.layout.by_name(self._parameters_KD)
        self._parameters = {name: v.detach().requires_grad_() for name, v in views.items()}
        self._leaves = list(self._parameters.values())
        self._buffers = {name: ordinary(buffer) for name, buffer in rows.buffers.items()}
        self._tensors = [*self._leaves, *self._buffers.values()]
        keys = map(key_name, template.dropouts)
        names = [*self._parameters, *self._buffers, *keys]
        self._stand_ins = StandIns(template.module, names)
        # Some operators vmap runs lane by lane. They are right, and how many lanes pay is measured.
        torch._C._functorch._set_vmap_fallback_warning_enabled(False)  # type: ignore[attr-defined]
        self._run = torch.vmap(self._one_lane, randomness="error")

    def read_parameters(self) -> None:
        """Do nothing if the modules use the rows themselves."""
        if self._parameters_KD is not self._rows.parameters_KD:
            self._parameters_KD.copy_(self._rows.parameters_KD)

    def read_buffers(self) -> None:
        """Read them as `read_parameters` does."""
        for name, buffer in self._rows.buffers.items():
            if self._buffers[name] is not buffer:
                self._buffers[name].copy_(buffer)

    def buffers(self) -> Mapping[str, torch.Tensor]:
        """Return the buffers, which are written in place."""
        return self._buffers

    def train(self, x_KBF: torch.Tensor, keys_LK: torch.Tensor, step: int) -> torch.Tensor:
        """Return the outputs (K, B, C)."""
        self._template.begin_step()
        return self._run(x_KBF, *self._tensors, *keys_LK)

    def gradients(
        self, output_KBC: torch.Tensor, d_output_KBC: torch.Tensor
    ) -> Sequence[torch.Tensor | None]:
        """Return the gradients, each (K, ...)."""
        return torch.autograd.grad(output_KBC, self._leaves, d_output_KBC, allow_unused=True)

    def evaluate(self, x_KBF: torch.Tensor, lanes: slice) -> torch.Tensor:
        """Return the outputs (k, B, C) of some lanes."""
        n_keys = len(self._template.dropouts)
        no_keys = x_KBF.new_zeros(n_keys, len(x_KBF), dtype=torch.int32)  # nothing is dropped
        return self._run(x_KBF, *(tensor[lanes] for tensor in self._tensors), *no_keys)

    def _one_lane(self, x_BF: torch.Tensor, *tensors: torch.Tensor) -> torch.Tensor:
        with _half_precision(x_BF.device, is_on=self._is_bfloat16):
            output = self._stand_ins.call(tensors, x_BF)
        return _checked(output, x_BF, self._n_outputs)


class PlainLane:
    """A lane alone, as an ordinary module, for modules that cannot be fused.

    Its tensors are its own, copied from and to the rows: user code may change them freely. The
    global generators are seeded by (trial seed, step), so that a resume is exact.
    """

    def __init__(
        self, template: Template, rows: Rows, n_outputs: int, *, is_bfloat16: bool
    ) -> None:
        """Build it from a template of its own."""
        (self._seed,) = rows.seeds
        self._template = template
        self._rows = rows
        self._n_outputs = n_outputs
        self._is_bfloat16 = is_bfloat16
        named = dict(template.module.named_parameters())
        self._row = template.layout.by_name(rows.parameters_KD[0])
        self._leaves = [named[name] for name in self._row]
        self._step = 0

    def read_parameters(self) -> None:
        """Copy the parameters into the module."""
        with torch.no_grad():
            for leaf, value in zip(self._leaves, self._row.values(), strict=True):
                leaf.copy_(value)

    def read_buffers(self) -> None:
        """Copy the buffers into the module, which may have replaced them."""
        for name, buffer in buffers_of(self._template.module).items():
            buffer.copy_(self._rows.buffers[name][0])

    def buffers(self) -> Mapping[str, torch.Tensor]:
        """Copy the buffers out of the module."""
        return {n: buffer[None] for n, buffer in buffers_of(self._template.module).items()}

    def train(self, x_KBF: torch.Tensor, keys_LK: torch.Tensor, step: int) -> torch.Tensor:
        """Return the outputs (1, B, C)."""
        self._template.begin_step()
        for dropout, key_K in zip(self._template.dropouts.values(), keys_LK, strict=True):
            dropout.key.copy_(key_K[0])
        seed_generators(derive_seed(self._seed, "step", step), x_KBF.device.type)
        self._step = step
        return self._run(x_KBF)

    def gradients(
        self, output_KBC: torch.Tensor, d_output_KBC: torch.Tensor
    ) -> Sequence[torch.Tensor | None]:
        """Compute gradients by `backward`: reentrant checkpointing supports nothing else."""
        for leaf in self._leaves:
            leaf.grad = None
        torch.autograd.backward(output_KBC, d_output_KBC)
        return [leaf.grad for leaf in self._leaves]

    def evaluate(self, x_KBF: torch.Tensor, lanes: slice) -> torch.Tensor:
        """Return the outputs (1, B, C) of a lane that has just taken its step."""
        seed_generators(derive_seed(self._seed, "validation", self._step), x_KBF.device.type)
        return self._run(x_KBF)

    def _run(self, x_KBF: torch.Tensor) -> torch.Tensor:
        (x_BF,) = x_KBF
        with _half_precision(x_BF.device, is_on=self._is_bfloat16):
            output = self._template.module(x_BF)
        return _checked(output, x_BF, self._n_outputs)[None]


def ordinary(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that autograd can save: itself, or a copy of an inference tensor."""
    return tensor.clone() if tensor.is_inference() else tensor


def _half_precision(device: torch.device, *, is_on: bool) -> torch.autocast:
    # no cache: values of one call must not be found by the next
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_on, cache_enabled=False)


def _checked(output: object, x_BF: torch.Tensor, n_outputs: int) -> torch.Tensor:
    """Convert the output to the rows' dtype; raises `ModelMistake` for anything but (B, C)."""
    wanted = (len(x_BF), n_outputs)
    if not isinstance(output, torch.Tensor):
        raise ModelMistake(
            f"forward returned {type(output).__name__}; return a tensor of shape {wanted}"
        )
    if tuple(output.shape) != wanted:
        raise ModelMistake(
            f"forward returned the shape {tuple(output.shape)}; return {wanted}: "
            "for each row of the batch, a row of n_outputs numbers"
        )
    return output.to(x_BF.dtype)
