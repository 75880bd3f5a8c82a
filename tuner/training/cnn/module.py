"""The built-in convolutional network.

Shapes: B batch, F features (channels * height * width), C channels, H height, W width.
"""

import torch

from tuner.study.trial import Params
from tuner.study_file.params.trainer_params import DEFAULT_CHANNELS, channels_of_block
from tuner.training.initial import initial_layer
from tuner.training.mlp.module import ACTIVATIONS
from tuner.training.settings import settings_of

_KERNEL = 3
_MIN_SIDE = 2  # of an image that is halved


def cnn_module(
    n_features: int,
    n_outputs: int,
    *,
    shape: tuple[int, int, int],
    channels: int = DEFAULT_CHANNELS,
    n_layers: int,
    width: int,
    activation: str,
    dropout: float,
) -> torch.nn.Module:
    """Build blocks `conv.0`, `conv.1`, ..., a layer `hidden` of `width` units, and `output`.

    A block is a 3 x 3 convolution, the activation, and a maximum over 2 x 2 pixels as long as there
    are that many. Each block has twice the channels of the one before it, up to
    1,024.
    """
    assert n_features == shape[0] * shape[1] * shape[2], "features are the pixels"
    return _CNN(shape, n_outputs, channels, n_layers, width, activation, dropout)


def initialize_cnn(module: torch.nn.Module, params: Params, seed: int) -> None:
    """Set the values that a lane of this seed starts from."""
    lane = settings_of(params)
    with torch.no_grad():
        for name, layer in module.named_modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                n_out = layer.weight.shape[0]
                n_in = layer.weight[0].numel()
                field = layer.weight[0, 0].numel()
                weight, bias = initial_layer(lane, seed, name, n_in, n_out, field=field)
                layer.weight.copy_(weight.T.reshape(layer.weight.shape))
                assert layer.bias is not None
                layer.bias.copy_(bias[0])


class _CNN(torch.nn.Module):
    def __init__(
        self,
        shape: tuple[int, int, int],
        n_outputs: int,
        channels: int,
        n_layers: int,
        width: int,
        activation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.shape = shape
        n_in, height, width_of_image = shape
        self.conv = torch.nn.ModuleList()
        self.pool = torch.nn.ModuleList()
        for number in range(n_layers):
            n_out = channels_of_block(channels, number)
            self.conv.append(torch.nn.Conv2d(n_in, n_out, _KERNEL, padding=_KERNEL // 2))
            is_large = min(height, width_of_image) >= _MIN_SIDE
            self.pool.append(torch.nn.MaxPool2d(2) if is_large else torch.nn.Identity())
            if is_large:
                height, width_of_image = height // 2, width_of_image // 2
            n_in = n_out
        self.activation = ACTIVATIONS[activation]()
        self.hidden = torch.nn.Linear(n_in * height * width_of_image, width)
        self.dropout = torch.nn.Dropout(dropout)
        self.output = torch.nn.Linear(width, n_outputs)

    def forward(self, x_BF: torch.Tensor) -> torch.Tensor:
        x_BCHW = x_BF.reshape(-1, *self.shape)
        for conv, pool in zip(self.conv, self.pool, strict=True):
            x_BCHW = pool(self.activation(conv(x_BCHW)))
        hidden_BH = self.dropout(self.activation(self.hidden(x_BCHW.flatten(1))))
        return self.output(hidden_BH)  # type: ignore[no-any-return]
