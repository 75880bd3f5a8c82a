"""The same training as an ordinary module with autograd and torch.optim, in float64."""

from itertools import pairwise
from math import sqrt

import torch

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
    data: Dataset, settings: Settings, seed: int, data_seed: int
) -> tuple[torch.nn.Sequential, list[float]]:
    """Train; the module and the mean training loss of each epoch."""
    model = reference_model(data, settings, seed)
    optimizer = _optimizer(model, settings)
    losses = []
    for epoch in range(settings.epochs):
        total = 0.0
        for rows in row_order(data_seed, epoch, data.train.n_rows).split(settings.batch_size):
            loss = reference_loss(data, model(data.train.x_NF[rows]), data.train.y_N[rows])
            weights = [p for p in model.parameters() if p.dim() == 2]
            penalty = settings.l1 * sum(weight.abs().sum() for weight in weights)
            optimizer.zero_grad()
            (loss + penalty).backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / data.train.n_rows)
    return model, losses


def reference_loss(data: Dataset, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross-entropy or squared error."""
    if data.task is Task.CLASSIFICATION:
        return torch.nn.functional.cross_entropy(output, y)
    return torch.nn.functional.mse_loss(output[:, 0], y)


def _optimizer(model: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
    rest = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(model.parameters(), momentum=settings.momentum, **rest)
        case "adam":
            return torch.optim.Adam(model.parameters(), **rest)
        case _:
            return torch.optim.AdamW(model.parameters(), **rest)
