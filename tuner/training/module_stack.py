"""Steps over the lanes of modules: forward, the loss's gradient, backward, update.

Shapes: K lanes, L dropout layers, S steps, B batch, F features, C outputs.
"""

from collections.abc import Callable, Sequence

import torch

from tuner.training.addressed_dropout import DropoutKeys
from tuner.training.losses import Loss
from tuner.training.model import Rows
from tuner.training.module_lanes import ModuleLanes, ordinary
from tuner.training.template import Template


class ModuleStack:
    """`training.model.Stack`, whichever way the lanes are run."""

    def __init__(self, template: Template, rows: Rows, lanes: ModuleLanes, loss: Loss) -> None:
        self._template = template
        self._rows = rows
        self._lanes = lanes
        self._loss = loss
        self._gradients = list(template.layout.by_name(rows.gradients_KD).values())
        self._keys = DropoutKeys(rows.seeds, list(template.dropouts), template.device)

    def take_steps(
        self,
        batches: Sequence[torch.Tensor],
        target_SKBC: torch.Tensor,
        first_steps_K: torch.Tensor,
        update: Callable[[], None],
    ) -> torch.Tensor:
        """One step per batch (K or 1, B, F); the mean losses (S, K)."""
        lanes, n_lanes = self._lanes, len(self._rows.seeds)
        target_SKBC = target_SKBC.expand(-1, n_lanes, -1, -1)
        first_step = int(first_steps_K[0])
        self._template.module.train()
        with torch.inference_mode(False), torch.no_grad():
            lanes.read_buffers()
            steps_K = ordinary(first_steps_K).to(self._template.device)
            keys_SLK = self._keys.of_steps(steps_K, len(batches))
        kept = []
        steps = zip(batches, target_SKBC, keys_SLK, strict=True)
        for step, (x_KBF, target_KBC, keys_LK) in enumerate(steps, first_step):
            with torch.inference_mode(False), torch.enable_grad():
                lanes.read_parameters()
                x_KBF = ordinary(x_KBF).expand(n_lanes, -1, -1)
                output_KBC = lanes.train(x_KBF, keys_LK, step)
            kept_KBC, d_output_KBC = self._of_loss(output_KBC.detach(), target_KBC)
            kept.append(kept_KBC)
            with torch.inference_mode(False):
                gradients = lanes.gradients(output_KBC, ordinary(d_output_KBC))
            self._write(gradients)
            update()
        for name, buffer in lanes.buffers().items():
            if buffer is not self._rows.buffers[name]:
                self._rows.buffers[name].copy_(buffer)
        return self._loss.of_steps(torch.stack(kept), target_SKBC)

    def outputs(self, x_BF: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """The outputs (k, B, C) of the lanes from `first` to before `last`, for validation."""
        self._template.module.eval()
        with torch.inference_mode(False), torch.no_grad():
            self._lanes.read_parameters()
            self._lanes.read_buffers()
            x_KBF = ordinary(x_BF).expand(last - first, -1, -1)
            return self._lanes.evaluate(x_KBF, slice(first, last))

    def _of_loss(
        self, output_KBC: torch.Tensor, target_KBC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What `of_steps` needs, and the gradient with respect to the outputs."""
        # contiguous: the loss's kernels write to any other buffer as if it were
        output_KBC, target_KBC = output_KBC.contiguous(), target_KBC.contiguous()
        kept, gradient = torch.empty_like(output_KBC), torch.empty_like(output_KBC)
        self._loss.gradient(output_KBC, target_KBC, kept=kept, out=gradient)
        return kept, gradient

    def _write(self, gradients: Sequence[torch.Tensor | None]) -> None:
        for row, gradient in zip(self._gradients, gradients, strict=True):
            if gradient is None:
                row.zero_()
            else:
                row.copy_(gradient)
