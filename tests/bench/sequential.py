"""Trials one after the other, as people write them: what fused groups are compared with.

`loader_epoch` is the loop of the tutorials: a DataLoader, a module, an optimizer as it comes.
`best_epoch` is the best sequential loop we know for small models: the data are tensors on the
device, a batch is an index into them, the optimizer is fused. Both shuffle, take every step, sum
the losses and validate, as an epoch of tuner's trainer does.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from tuner.training.data.dataset import Dataset

Epoch = Callable[[], float]  # trains and validates for one epoch; the validation loss


def mlp(n_features: int, n_outputs: int, *, width: int, depth: int) -> torch.nn.Sequential:
    """An ordinary multilayer perceptron with `depth` hidden layers."""
    layers: list[torch.nn.Module] = []
    n_in = n_features
    for _ in range(depth):
        layers += [torch.nn.Linear(n_in, width), torch.nn.ReLU()]
        n_in = width
    return torch.nn.Sequential(*layers, torch.nn.Linear(n_in, n_outputs))


def loader_epoch(model: torch.nn.Module, data: Dataset, batch_size: int, rate: float) -> Epoch:
    """DataLoader, module, Adam with its defaults."""
    rows = TensorDataset(data.train.x_NF, data.train.y_N)
    loader: DataLoader[Any] = DataLoader(rows, batch_size=batch_size, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)

    def epoch() -> float:
        total = 0.0
        for x_BF, y_B in loader:
            optimizer.zero_grad()
            loss = cross_entropy(model(x_BF), y_B)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return _validate(model, data)

    return epoch


def best_epoch(model: torch.nn.Module, data: Dataset, batch_size: int, rate: float) -> Epoch:
    """Preloaded data, batches by index, fused Adam, losses summed on the device."""
    x_NF, y_N = data.train.x_NF, data.train.y_N
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)

    def epoch() -> float:
        total = torch.zeros((), device=x_NF.device)
        for index_B in torch.randperm(len(x_NF), device=x_NF.device).split(batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss = cross_entropy(model(x_NF[index_B]), y_N[index_B])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        total.item()
        return _validate(model, data)

    return epoch


def _validate(model: torch.nn.Module, data: Dataset) -> float:
    with torch.inference_mode():
        return float(cross_entropy(model(data.validation.x_NF), data.validation.y_N))
