"""The same training as an ordinary module with autograd and torch.optim, in float64."""

from itertools import pairwise
from math import ceil, sqrt
from typing import Any

import torch
from torch.optim import lr_scheduler

from tuner.study_file.params.trainer_params import Task
from tuner.training.data.dataset import Dataset
from tuner.training.randomness import row_order, uniform
from tuner.training.settings import Settings

_ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU}


def reference_model(data: Dataset, settings: Settings, seed: int) -> torch.nn.Sequential:
    """A module with the initial values that a lane of this seed starts from."""
    sizes = [data.n_features, *[settings.width] * settings.n_layers]
    modules: list[torch.nn.Module] = []
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        modules += [
            _linear(n_in, n_out, f"hidden.{layer}", seed),
            _ACTIVATIONS[settings.activation](),
        ]
    modules.append(_linear(sizes[-1], data.n_outputs, "output", seed))
    return torch.nn.Sequential(*modules).double()


def _linear(n_in: int, n_out: int, name: str, seed: int) -> torch.nn.Linear:
    linear, bound = torch.nn.Linear(n_in, n_out), 1 / sqrt(n_in)
    with torch.no_grad():
        linear.weight.copy_(uniform(seed, f"{name}.weight", (n_in, n_out), bound).T)
        linear.bias.copy_(uniform(seed, f"{name}.bias", (1, n_out), bound)[0])
    return linear


def train_reference(
    data: Dataset, settings: Settings, seed: int, data_seed: int, n_epochs: int | None = None
) -> tuple[torch.nn.Sequential, list[float]]:
    """Train for some or all epochs; the module and the mean training loss of each epoch."""
    model = reference_model(data, settings, seed)
    optimizer = _optimizer(model, settings)
    n_steps = ceil(data.train.n_rows / settings.batch_size)
    by_epoch, by_step = _schedules(optimizer, settings, n_steps)
    losses = []
    for epoch in range(n_epochs or settings.epochs):
        total = 0.0
        for rows in row_order(data_seed, epoch, data.train.n_rows).split(settings.batch_size):
            output, y = model(data.train.x_NF[rows]), data.train.y_N[rows]
            loss = reference_loss(data, output, y, settings.label_smoothing)
            weights = [p for p in model.parameters() if p.dim() == 2]
            penalty = settings.l1 * sum(weight.abs().sum() for weight in weights)
            optimizer.zero_grad()
            (loss + penalty).backward()
            if settings.clip_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            for schedule in by_step:
                schedule.step()
            total += loss.item() * len(rows)
        losses.append(total / data.train.n_rows)
        for schedule in by_epoch:
            if isinstance(schedule, lr_scheduler.ReduceLROnPlateau):
                with torch.no_grad():
                    output = model(data.validation.x_NF)
                schedule.step(reference_loss(data, output, data.validation.y_N).item())
            else:
                schedule.step()
    return model, losses


def reference_loss(
    data: Dataset, output: torch.Tensor, y: torch.Tensor, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Cross-entropy or squared error."""
    if data.task is Task.CLASSIFICATION:
        return torch.nn.functional.cross_entropy(output, y, label_smoothing=label_smoothing)
    return torch.nn.functional.mse_loss(output[:, 0], y)


def _optimizer(model: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
    betas = settings.beta1, settings.beta2
    rest: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    match settings.optimizer:
        case "sgd":
            rest |= {"momentum": settings.momentum, "nesterov": settings.nesterov}
            return torch.optim.SGD(model.parameters(), **rest)
        case "adam":
            return torch.optim.Adam(model.parameters(), betas=betas, **rest)
        case "adamw":
            return torch.optim.AdamW(model.parameters(), betas=betas, **rest)
        case "rmsprop":
            return torch.optim.RMSprop(model.parameters(), **rest)
    raise AssertionError(settings.optimizer)


def _schedules(
    optimizer: torch.optim.Optimizer, settings: Settings, n_steps: int
) -> tuple[list[Any], list[Any]]:
    """The schedulers to step after an epoch, and those to step after a batch."""
    by_epoch, by_step = [], []
    match settings.schedule:
        case "cosine":
            by_epoch = [lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs)]
        case "step":
            every, factor = settings.step_every, settings.step_factor
            by_epoch = [lr_scheduler.StepLR(optimizer, every, factor)]
        case "plateau":
            rest = {"factor": settings.plateau_factor, "patience": settings.plateau_patience}
            by_epoch = [lr_scheduler.ReduceLROnPlateau(optimizer, **rest)]
        case "one_cycle":
            n_total, peak = settings.epochs * n_steps, settings.learning_rate
            one_cycle = lr_scheduler.OneCycleLR
            by_step = [one_cycle(optimizer, peak, n_total, cycle_momentum=False)]
    if settings.warmup:
        assert settings.schedule == "constant", "torch can chain few of its schedulers"
        n_warm = settings.warmup * n_steps
        by_step = [lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / n_warm))]
    return by_epoch, by_step
