"""Modules as users write them, and groups of their lanes without the trainer around them."""

import numpy as np
import torch
from torch.nn.functional import dropout, max_pool2d, relu
from torch.utils.checkpoint import checkpoint

from tuner.study_file.params.trainer_params import resolve
from tuner.training.data.dataset import Dataset
from tuner.training.losses.built_in import Loss, loss_of
from tuner.training.model import Rows, stack_fresh
from tuner.training.modules.kind import ModuleModel


class Plain(torch.nn.Module):
    """Two layers; what comes between them is up to subclasses."""

    def __init__(self, n_features: int, n_outputs: int, width: int = 24) -> None:
        super().__init__()
        self.first = torch.nn.Linear(n_features, width)
        self.last = torch.nn.Linear(width, n_outputs)
        self.between = self.make_between(width)

    def make_between(self, width: int) -> torch.nn.Module:
        return torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.between(relu(self.first(x))))


class Normed(Plain):
    def make_between(self, width):
        return torch.nn.BatchNorm1d(width)


class LayerNormed(Plain):
    def make_between(self, width):
        return torch.nn.LayerNorm(width)


class Dropping(Plain):
    def make_between(self, width):
        return torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(width, width))

    def forward(self, x):
        hidden = self.between(relu(self.first(x)))
        return self.last(self.between[0](hidden))  # the same layer once more


class Image(torch.nn.Module):
    """A small CNN on rows of 64 features: 8 x 8 pixels."""

    def __init__(self, n_outputs: int, n_channels: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, n_channels, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(n_channels)
        self.second = torch.nn.Conv2d(n_channels, 2 * n_channels, 3, padding=1)
        self.dropout = torch.nn.Dropout2d(dropout)
        self.last = torch.nn.Linear(8 * n_channels, n_outputs)

    def forward(self, x):
        x = x.view(-1, 1, 8, 8)
        x = max_pool2d(relu(self.norm(self.first(x))), 2)
        x = max_pool2d(relu(self.dropout(self.second(x))), 2)
        return self.last(x.flatten(1))


class Frozen(Plain):
    def make_between(self, width):
        return torch.nn.Linear(width, width).requires_grad_(False)


class Unused(Plain):
    def make_between(self, width):
        self.idle = torch.nn.Parameter(torch.ones(3))
        return torch.nn.Tanh()


class Tied(Plain):
    """One layer in two places, and a weight that another layer has as well."""

    def make_between(self, width):
        layer, other = torch.nn.Linear(width, width), torch.nn.Linear(width, width)
        other.weight = layer.weight
        return torch.nn.Sequential(layer, torch.nn.Tanh(), other, torch.nn.Tanh(), layer)


class Attending(torch.nn.Module):
    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.layer = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.last = torch.nn.Linear(n_features, n_outputs)

    def forward(self, x):
        return self.last(self.layer(x.view(len(x), -1, 8)).flatten(1))


class Lazy(Plain):
    """Its layers learn their sizes from the data."""

    def make_between(self, width):
        return torch.nn.Sequential(torch.nn.LazyLinear(8), torch.nn.LazyLinear(width))


class WeightNormed(Plain):
    """Its weight is computed of two parameters."""

    def make_between(self, width):
        return torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(width, width))


FUSIBLE = (
    Plain,
    Normed,
    LayerNormed,
    Dropping,
    Image,
    Frozen,
    Unused,
    Tied,
    Attending,
    Lazy,
    WeightNormed,
)


class Recurrent(torch.nn.Module):
    def __init__(self, n_outputs, kind=torch.nn.GRU):
        super().__init__()
        self.layer = kind(8, 12, batch_first=True)
        self.last = torch.nn.Linear(12, n_outputs)

    def forward(self, x):
        return self.last(self.layer(x.view(len(x), -1, 8))[0][:, -1])


class Reading(Plain):
    def forward(self, x):
        hidden = self.first(x)
        return self.last(hidden * (1 + hidden.std().item()))


class Branching(Plain):
    def forward(self, x):
        hidden = self.first(x)
        return self.last(hidden if hidden.sum() > 0 else -hidden)


class DroppingByFunction(Plain):
    def forward(self, x):
        return self.last(dropout(relu(self.first(x)), 0.3, self.training))


class Noisy(Plain):
    def forward(self, x):
        return self.last(self.first(x) + 0.1 * torch.rand(self.first.out_features))


class DrawingWithNumpy(Plain):
    def forward(self, x):
        return self.last(self.first(x) * np.random.uniform(0.9, 1.1))


class Exchanging(Plain):
    """Its running mean is a new tensor after every step: vmap would lose it."""

    def make_between(self, width):
        self.register_buffer("mean", torch.zeros(width))
        return torch.nn.Identity()

    def forward(self, x):
        hidden = self.first(x)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * hidden.detach().mean(0)
        return self.last(hidden - self.mean)


class Checkpointed(Plain):
    is_reentrant = False

    def make_between(self, width):
        return torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.Dropout(0.3))

    def forward(self, x):
        hidden = relu(self.first(x))
        return self.last(checkpoint(self.between, hidden, use_reentrant=self.is_reentrant))


class CheckpointedReentrantly(Checkpointed):
    is_reentrant = True


UNFUSIBLE = (
    Recurrent,
    Reading,
    Branching,
    DroppingByFunction,
    Noisy,
    DrawingWithNumpy,
    Exchanging,
    Checkpointed,
    CheckpointedReentrantly,
)


def model_of(build, data: Dataset, loss: Loss | None = None) -> ModuleModel:
    """A model of modules under the callable's own name."""
    return ModuleModel(build, data, loss or loss_of(data), name=f"net.py:{build.__name__}")


class Lanes:
    """Lanes that train by plain gradient descent, each at a step of its own."""

    def __init__(self, model, data, seeds, params=None, *, loss=None, rows=None):
        self.model, self.data = model, data
        self.params = resolve({"batch_size": 16, **(params or {})})
        self.loss = loss or loss_of(data)
        self.rows = rows or self._fresh(seeds)
        self.steps = torch.zeros(len(self.rows.seeds), dtype=torch.int64)
        self.stack = model.stack(self.rows)

    def _fresh(self, seeds):
        params = [self.params] * len(seeds)
        parameters_KD, buffers = stack_fresh(self.model, params, seeds, self.data.train.x_NF)
        return Rows(
            params=params,
            seeds=list(seeds),
            parameters_KD=parameters_KD,
            gradients_KD=torch.zeros_like(parameters_KD),
            buffers=buffers,
        )

    def train(self, n_steps, learning_rate=0.1):
        """The losses (S, K) of that many steps; a lane's rows follow from its step."""
        batches, targets = [], []
        y_NC = self.loss.targets(self.data.train.y_N).to(self.data.train.x_NF.dtype)
        for step in range(n_steps):
            first = [int(at + step) * 16 % (len(y_NC) - 16) for at in self.steps]
            batches.append(torch.stack([self.data.train.x_NF[f : f + 16] for f in first]))
            targets.append(torch.stack([y_NC[f : f + 16].T for f in first]))

        def update():
            self.rows.parameters_KD.sub_(self.rows.gradients_KD, alpha=learning_rate)

        losses_SK = self.stack.take_steps(batches, torch.stack(targets), self.steps, update)
        self.steps += n_steps
        return losses_SK

    def keep(self, kept):
        """Only these lanes, in this order, under a new stack."""
        rows = Rows(
            params=[self.params] * len(kept),
            seeds=[self.rows.seeds[k] for k in kept],
            parameters_KD=self.rows.parameters_KD[kept],
            gradients_KD=self.rows.gradients_KD[kept],
            buffers={name: buffer[kept] for name, buffer in self.rows.buffers.items()},
        )
        lanes = Lanes(self.model, self.data, rows.seeds, self.params, loss=self.loss, rows=rows)
        lanes.steps = self.steps[kept]
        return lanes

    def joined(self, other):
        """These lanes, and after them the other ones."""
        one, two = self.rows, other.rows
        rows = Rows(
            params=[*one.params, *two.params],
            seeds=[*one.seeds, *two.seeds],
            parameters_KD=torch.cat([one.parameters_KD, two.parameters_KD]),
            gradients_KD=torch.cat([one.gradients_KD, two.gradients_KD]),
            buffers={n: torch.cat([one.buffers[n], two.buffers[n]]) for n in one.buffers},
        )
        lanes = Lanes(self.model, self.data, rows.seeds, self.params, loss=self.loss, rows=rows)
        lanes.steps = torch.cat([self.steps, other.steps])
        return lanes

    def outputs(self):
        """Of all lanes on the validation rows."""
        return self.stack.outputs(self.data.validation.x_NF, 0, len(self.rows.seeds))


def ordinary_losses(module, data, n_steps, learning_rate=0.1):
    """The losses of that many steps of an ordinary loop, on the rows that `Lanes.train` takes."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=learning_rate)
    losses = []
    for step in range(n_steps):
        first = step * 16 % (data.train.n_rows - 16)
        rows = slice(first, first + 16)
        with torch.enable_grad():
            output = module(data.train.x_NF[rows])
            loss = torch.nn.functional.cross_entropy(output, data.train.y_N[rows])
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
