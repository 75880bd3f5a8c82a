"""A small convolutional network for 8 x 8 pixels: any torch.nn.Module will do."""

import torch
from torch import nn


def cnn(n_outputs, n_channels, kernel, dropout):
    """Called with the params that it names; `n_features` and `n_outputs` come from the data."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),  # the trainer's rows are flat: 64 features
        nn.Conv2d(1, n_channels, kernel, padding="same"),
        nn.BatchNorm2d(n_channels),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(n_channels, 2 * n_channels, kernel, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * n_channels * 2 * 2, n_outputs),
    )


if __name__ == "__main__":
    print(cnn(n_outputs=10, n_channels=4, kernel=3, dropout=0.0)(torch.zeros(5, 64)).shape)
