"""A custom loss behind the protocol of the built-in ones.

Shapes: S steps, K lanes (1 in targets that all lanes share), B batch, C outputs, N rows.
"""

import logging
from collections.abc import Callable

import torch

from tuner.training.fatal_errors import ModelMistake
from tuner.training.modules.fusing import in_words
from tuner.training.modules.lanes import ordinary

log = logging.getLogger(__name__)

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (B, C), (B,) -> ()


class OwnLoss:
    """`loss(outputs_BC, y_B)`, the mean over a batch, for all lanes at once.

    If torch.vmap refuses it, it is called once per lane; one log line reports this.
    """

    def __init__(self, function: LossFunction, y_type: torch.dtype, *, name: str) -> None:
        """Wrap `function`; `y_type` is the labels' dtype, `name` is for display."""
        self._function = function
        self._y_type = y_type
        self._name = name
        self._at_once = torch.vmap(torch.func.grad_and_value(self._checked), randomness="error")
        self._is_fused = True

    def targets(self, y_N: torch.Tensor, weight_N: torch.Tensor | None = None) -> torch.Tensor:
        """Return the labels as a column; classes stay exact in any float type that holds them.

        Raises `ModelMistake` for weights: the function returns one mean for all rows.
        """
        if weight_N is not None:
            raise ModelMistake(f"{self._name} takes no weights of rows; remove `weight:` from data")
        return y_N[:, None]

    def gradient(
        self,
        output_KCB: torch.Tensor,
        target_KCB: torch.Tensor,
        *,
        kept: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        """Write the gradient to `out`, and the loss to the first element of each lane in `kept`."""
        gradient_KBC, loss_K = self._gradient_and_value(output_KCB, target_KCB[:, 0])
        out.copy_(gradient_KBC.transpose(1, 2))
        kept[:, 0, 0] = loss_K

    def of_steps(self, kept_SKCB: torch.Tensor, target_SKCB: torch.Tensor) -> torch.Tensor:
        """Return the mean losses (S, K)."""
        return kept_SKCB[:, :, 0, 0]

    def plain_sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of each lane times the rows (K,): chunks count by their rows."""
        return self._gradient_and_value(output_KCB, y_B[None])[1].double() * len(y_B)

    def _gradient_and_value(
        self, output_KCB: torch.Tensor, y_KB: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gradient (K, B, C) and the loss (K,) of each lane."""
        output_KBC = output_KCB.transpose(1, 2).contiguous()
        y_KB = y_KB.expand(len(output_KBC), -1)
        with torch.inference_mode(False), torch.enable_grad():
            output_KBC, y_KB = ordinary(output_KBC).detach(), ordinary(y_KB).to(self._y_type)
            if self._is_fused:
                try:
                    return self._at_once(output_KBC, y_KB)
                except ModelMistake:
                    raise
                # vmap raises no type of its own; the call alone shows an error of the user's code
                except Exception as error:
                    found = self._one_by_one(output_KBC, y_KB)
                    self._is_fused = False
                    log.warning(
                        "%s is called for each trial alone: %s", self._name, in_words(error)
                    )
                    return found
            return self._one_by_one(output_KBC, y_KB)

    def _one_by_one(
        self, output_KBC: torch.Tensor, y_KB: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        gradients, losses = [], []
        for output_BC, y_B in zip(output_KBC, y_KB, strict=True):
            leaf_BC = output_BC.detach().requires_grad_()
            loss = self._checked(leaf_BC, y_B)
            gradients += torch.autograd.grad(loss, leaf_BC)
            losses.append(loss.detach())
        return torch.stack(gradients), torch.stack(losses)

    def _checked(self, output_BC: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        loss = self._function(output_BC, y_B)
        if not isinstance(loss, torch.Tensor) or loss.dim() != 0:
            what = (
                f"the shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else repr(loss)
            )
            raise ModelMistake(
                f"{self._name} returned {what[:80]}; return the mean loss of the batch as a "
                "tensor without dimensions, such as losses.mean()"
            )
        return loss.to(output_BC.dtype)
