"""Test whether a user's module can be fused, with two lanes on a few real rows.

Shapes: K lanes, B batch, F features, C outputs.
"""

from dataclasses import dataclass
from typing import Protocol

import torch

from tuner.study.trial import Params
from tuner.training.data.dataset import Dataset
from tuner.training.fatal_errors import ModelMistake
from tuner.training.losses.built_in import Loss
from tuner.training.model import Rows, Untrained, stack_fresh
from tuner.training.modules.generators import generators_kept, generators_state
from tuner.training.modules.stack import ModuleStack

_SEEDS = (1, 2)
_MAX_ROWS = 16
# Relative to the largest number of its kind. Rounding is far below, a wrong result far above.
_TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-2}
_TOLERANCE_BFLOAT16 = 0.25

_DRAWS = "its forward draws random numbers; torch.nn.Dropout can be fused"
# Messages of torch, and advice for users.
_IN_WORDS = (
    (".item()", "it reads a tensor's value (.item(), float(), int(), tolist())"),
    ("data-dependent control flow", "its forward branches on a tensor's value (if, while)"),
    ("random operation", _DRAWS),
    ("setup_context", "it has an autograd.Function, as reentrant checkpointing has"),
    ("escaped from inside a function", "its backward pass runs code again, as checkpointing does"),
)


class Fusible(Untrained, Protocol):
    """The part of a model of modules that the test needs."""

    def fused_stack(self, rows: Rows) -> ModuleStack: ...

    def plain_stack(self, rows: Rows) -> ModuleStack: ...


@dataclass(frozen=True, kw_only=True)
class _Traces:
    """Results of a step and of an evaluation, each (K, ...)."""

    of_kind: dict[str, torch.Tensor]


def find_obstacle(model: Fusible, params: Params, data: Dataset, loss: Loss) -> str:
    """Return why lanes of these params cannot be fused, as a clause; empty if they can.

    One step of two lanes at once is compared with one of each alone, as an ordinary module. Raises
    errors of the user's code that are unrelated to fusing.
    """
    device = data.train.x_NF.device
    with torch.inference_mode(False), torch.no_grad(), generators_kept(device):
        rows, before = _new_rows(model, params, data, _SEEDS), generators_state()
        obstacle, fused = "", None
        try:
            fused = _trace(model.fused_stack(rows), rows, data, loss)
            if generators_state() != before:  # Python's or NumPy's; torch's own vmap refuses
                obstacle = _DRAWS
        except ModelMistake:
            raise
        # vmap raises no type of its own; `_alone` shows an error of the user's code
        except Exception as error:
            obstacle = in_words(error)
        alone = [_alone(model, params, data, loss, seed) for seed in _SEEDS]
    if obstacle or fused is None:
        return obstacle
    tolerance = _TOLERANCES[data.train.like.dtype]
    tolerance = _TOLERANCE_BFLOAT16 if params["precision"] == "bfloat16" else tolerance
    for kind in fused.of_kind:
        wanted = torch.cat([trace.of_kind[kind] for trace in alone])
        if not _is_close(fused.of_kind[kind], wanted, tolerance):
            return f"several at once come to other {kind} than each alone"
    return ""


def _alone(model: Fusible, params: Params, data: Dataset, loss: Loss, seed: int) -> _Traces:
    rows = _new_rows(model, params, data, (seed,))
    return _trace(model.plain_stack(rows), rows, data, loss)


def _new_rows(model: Fusible, params: Params, data: Dataset, seeds: tuple[int, ...]) -> Rows:
    all_params = [params] * len(seeds)
    parameters_KD, buffers = stack_fresh(model, all_params, seeds, data.train.like)
    return Rows(
        params=all_params,
        seeds=seeds,
        parameters_KD=parameters_KD,
        gradients_KD=torch.zeros_like(parameters_KD),
        buffers=buffers,
    )


def _trace(stack: ModuleStack, rows: Rows, data: Dataset, loss: Loss) -> _Traces:
    """Return the results of one step on the first rows, and the outputs afterwards."""
    n_rows = min(int(rows.params[0]["batch_size"] or 1), _MAX_ROWS, data.train.n_rows)
    x_BF, y_B = data.train.inputs(slice(n_rows)), data.train.y_N[:n_rows]
    weight_B = None if data.train.weight_N is None else data.train.weight_N[:n_rows]
    target_SKCB = loss.targets(y_B, weight_B).to(x_BF.dtype).T[None, None]
    first_steps_K = torch.zeros(len(rows.seeds), dtype=torch.int64, device=x_BF.device)
    losses_SK = stack.take_steps([x_BF[None]], target_SKCB, first_steps_K, _no_update)
    outputs_KCB = stack.outputs(x_BF, 0, len(rows.seeds))
    named = {
        f"values of the buffer {name}": buffer.clone() for name, buffer in rows.buffers.items()
    }
    return _Traces(
        of_kind={
            **named,
            "losses": losses_SK[0],
            "gradients": rows.gradients_KD.clone(),
            "outputs": outputs_KCB.clone(),
        }
    )


def _no_update() -> None: ...


def _is_close(found: torch.Tensor, wanted: torch.Tensor, tolerance: float) -> bool:
    """Compare relative to the largest number; non-finite values must be so in both."""
    if not found.is_floating_point():
        return torch.equal(found, wanted)
    found, wanted = (tensor.double().nan_to_num(1e30, 1e30, -1e30) for tensor in (found, wanted))
    if not wanted.numel():
        return True
    return bool((found - wanted).abs().max() <= tolerance * wanted.abs().max())


def in_words(error: Exception) -> str:
    """Return torch.vmap's objection to user code, as a clause."""
    text = " ".join(str(error).split())
    for sign, words in _IN_WORDS:
        if sign in text:
            return words
    first = text.split(". ")[0].rstrip(".")[:200]
    return f"torch.vmap refuses it ({first or type(error).__name__})"
