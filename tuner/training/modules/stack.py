"""Steps over the lanes of modules: forward, the loss's gradient, backward, update.

Shapes: K lanes, L dropout layers, S steps, B batch, F features, C outputs.
"""

from collections.abc import Callable, Sequence

import torch

from tuner.training.losses.built_in import Loss
from tuner.training.model import Rows
from tuner.training.modules.addressed_dropout import DropoutKeys
from tuner.training.modules.lanes import ModuleLanes, ordinary
from tuner.training.modules.template import Template


class ModuleStack:
    """`training.model.Stack` over either kind of `ModuleLanes`."""

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
        target_SKCB: torch.Tensor,
        first_steps_K: torch.Tensor,
        update: Callable[[], None],
    ) -> torch.Tensor:
        """Take one step per batch (K or 1, B, F); return the mean losses (S, K)."""
        lanes, n_lanes = self._lanes, len(self._rows.seeds)
        target_SKCB = target_SKCB.expand(-1, n_lanes, -1, -1)
        first_step = int(first_steps_K[0])
        self._template.module.train()
        with torch.inference_mode(False), torch.no_grad():
            lanes.read_buffers()
            steps_K = ordinary(first_steps_K).to(self._template.device)
            keys_SLK = self._keys.of_steps(steps_K, len(batches))
        kept = []
        steps = zip(batches, target_SKCB, keys_SLK, strict=True)
        for step, (x_KBF, target_KCB, keys_LK) in enumerate(steps, first_step):
            with torch.inference_mode(False), torch.enable_grad():
                lanes.read_parameters()
                x_KBF = ordinary(x_KBF).expand(n_lanes, -1, -1)
                output_KBC = lanes.train(x_KBF, keys_LK, step)
            kept_KCB, d_output_KBC = self._of_loss(output_KBC.detach(), target_KCB)
            kept.append(kept_KCB)
            with torch.inference_mode(False):
                gradients = lanes.gradients(output_KBC, ordinary(d_output_KBC))
            self._write(gradients)
            update()
        for name, buffer in lanes.buffers().items():
            if buffer is not self._rows.buffers[name]:
                self._rows.buffers[name].copy_(buffer)
        return self._loss.of_steps(torch.stack(kept), target_SKCB)

    def outputs(self, x_BF: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Return the validation outputs (k, C, B) of the lanes from `first` to before `last`."""
        self._template.module.eval()
        with torch.inference_mode(False), torch.no_grad():
            self._lanes.read_parameters()
            self._lanes.read_buffers()
            x_KBF = ordinary(x_BF).expand(last - first, -1, -1)
            return self._lanes.evaluate(x_KBF, slice(first, last)).transpose(1, 2).contiguous()

    def _of_loss(
        self, output_KBC: torch.Tensor, target_KCB: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the inputs of `of_steps`, and the gradient by the outputs (K, B, C)."""
        # contiguous: the loss's kernels write to any other buffer as if it were
        output_KCB = output_KBC.transpose(1, 2).contiguous()
        kept, gradient = torch.empty_like(output_KCB), torch.empty_like(output_KCB)
        self._loss.gradient(output_KCB, target_KCB.contiguous(), kept=kept, out=gradient)
        return kept, gradient.transpose(1, 2).contiguous()

    def _write(self, gradients: Sequence[torch.Tensor | None]) -> None:
        for row, gradient in zip(self._gradients, gradients, strict=True):
            if gradient is None:
                row.zero_()
            else:
                row.copy_(gradient)
