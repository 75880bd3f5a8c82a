"""The built-in multilayer perceptron of K lanes, stacked, with a hand-written backward pass.

Lanes of one width, activation and batch size share a stack whatever their depth: they are sorted by
depth, the deepest first, so that layer i is that of the first k_i lanes. Shapes: K lanes, k lanes
of one layer or one depth, S steps, B batch, F inputs of a layer, H its outputs, C outputs of the
model, D parameters of a lane. Weights are stored (F, H), the transpose of torch.nn.Linear's; those
of the output layer as there, (C, F).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from tuner.study.trial import Params
from tuner.training.initial import OUTPUT, initial_layer
from tuner.training.layout import Layout, lay_out, padded
from tuner.training.losses.built_in import Loss
from tuner.training.mlp.activations import ACTIVATIONS
from tuner.training.model import Fresh, Rows
from tuner.training.randomness import DropoutMasks
from tuner.training.settings import Settings, settings_of

_SMALL_ELEMENTS = 5000  # of a weight; measured
# Of a lane's largest layer and a batch: below, one thread trains faster than two (measured: 4 times
# at width 64, as fast at 512 with batches of 64, at 1024 and 128 two are faster by half).
_SMALL_PRODUCTS = 2**24
_ALIGNED_ELEMENTS = 4  # 16 bytes: a lane that begins elsewhere is summed in another order
_MASK_ELEMENTS = 2**17  # filled at once: stays within the caches


class MLP:
    """Multilayer perceptrons over F features with C outputs (`model.Model`)."""

    uses_autograd = False

    def __init__(self, n_features: int, n_outputs: int, loss: Loss) -> None:
        self._n_features = n_features
        self._n_outputs = n_outputs
        self._loss = loss

    def key(self, params: Params) -> str:
        lane = settings_of(params)
        if lane.n_layers == 0:
            return f"mlp linear batch_size={lane.batch_size}"
        return f"mlp width={lane.width} activation={lane.activation} batch_size={lane.batch_size}"

    def structure(self, params: Params) -> str:
        lane = settings_of(params)
        return (
            f"mlp n_layers={lane.n_layers} width={lane.width} activation={lane.activation} "
            f"batch_size={lane.batch_size} optimizer={lane.optimizer}"
        )

    def rank(self, params: Params) -> int:
        return -settings_of(params).n_layers

    def layout(self, params: Params) -> Layout:
        """Lay out a lane, the output layer first: each layer has the same position at any depth."""
        parts: list[tuple[str, tuple[int, ...], bool]] = []
        for name, (n_in, n_out) in self._layers(settings_of(params)):
            if name == OUTPUT:
                parts += [
                    (f"{name}.weight", (n_out, n_in), True),
                    (f"{name}.bias", (n_out, 1), False),
                ]
            else:
                parts += [
                    (f"{name}.weight", (n_in, n_out), True),
                    (f"{name}.bias", (1, n_out), False),
                ]
        return lay_out(parts)

    def fresh(self, params: Params, seed: int) -> Fresh:
        """Draw the values of each layer, as `init` asks."""
        lane, drawn = settings_of(params), {}
        for name, (n_in, n_out) in self._layers(lane):
            weight, bias = initial_layer(lane, seed, name, n_in, n_out)
            is_output = name == OUTPUT
            drawn[f"{name}.weight"] = weight.T if is_output else weight
            drawn[f"{name}.bias"] = bias.T if is_output else bias
        return Fresh(parameters=drawn)

    def stack(self, rows: Rows) -> "MLPStack":
        return MLPStack(self.layout(rows.params[0]), rows, self._loss)

    def choose_plain(self, params: Params, is_plain: bool) -> bool:
        return False

    def max_lanes(self, params: Params) -> int | None:
        return None

    def is_small(self, params: Params) -> bool:
        lane = settings_of(params)
        n_in, n_out = self._n_features, self._n_outputs
        # The key depends on whether there are hidden layers, not on their number.
        largest = lane.width * max(n_in, lane.width, n_out) if lane.n_layers else n_in * n_out
        return lane.batch_size * largest <= _SMALL_PRODUCTS

    def _layers(self, lane: Settings) -> list[tuple[str, tuple[int, int]]]:
        """Return names, inputs and outputs of the layers, the output layer first."""
        last = lane.width if lane.n_layers else self._n_features
        inputs = [self._n_features, *[lane.width] * (lane.n_layers - 1)]
        hidden = [(f"hidden.{i}", (inputs[i], lane.width)) for i in range(lane.n_layers)]
        return [(OUTPUT, (last, self._n_outputs)), *hidden]


class Layer:
    """A layer of the lanes that have it: views into the rows, (k, F, H) or, the last, (k, C, F)."""

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor,
        weight_grad: torch.Tensor,
        bias_grad: torch.Tensor,
    ) -> None:
        self.weight = weight
        self.weight_t = weight.transpose(1, 2)
        self.bias = bias
        self.bias_grad = bias_grad
        self._weight_grad = weight_grad
        # A batched product into a tensor that is not contiguous goes lane by lane: for small ones
        # a copy is cheaper.
        n = weight[0].numel()
        is_small = n <= _SMALL_ELEMENTS and n % _ALIGNED_ELEMENTS == 0
        has_copy = is_small and not weight_grad.is_contiguous()
        self._product = weight_grad.new_empty(weight_grad.shape) if has_copy else None

    def of(self, lanes: slice) -> "Layer":
        """Return the layer of some of its lanes."""
        return Layer(
            self.weight[lanes], self.bias[lanes], self._weight_grad[lanes], self.bias_grad[lanes]
        )

    def write_weight_grad(self, left: torch.Tensor, right: torch.Tensor) -> None:
        """Write the product of the two."""
        if self._product is None:
            torch.bmm(left, right, out=self._weight_grad)
        else:
            self._weight_grad.copy_(torch.bmm(left, right, out=self._product))


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The layers of some lanes, sorted by depth: hidden layer i is that of the first k_i."""

    depths: Sequence[int]
    hidden: Sequence[Layer]
    output: Layer

    def of(self, first: int, last: int) -> "Layers":
        """Return those of the lanes from `first` to before `last`."""
        depths = self.depths[first:last]
        return Layers(
            depths=depths,
            hidden=[
                layer.of(slice(first, first + _deeper(depths, i)))
                for i, layer in enumerate(self.hidden[: depths[0]])
            ],
            output=self.output.of(slice(first, last)),
        )


def _deeper(depths: Sequence[int], layer: int) -> int:
    """Return how many lanes have hidden layer number `layer`."""
    return sum(depth > layer for depth in depths)


class MLPStack:
    """Forward and backward over rows that are sorted by depth (`model.Stack`)."""

    def __init__(self, layout: Layout, rows: Rows, loss: Loss) -> None:
        """Build it; `layout` is that of the first lane, the longest."""
        self._settings = [settings_of(params) for params in rows.params]
        self._seeds = rows.seeds
        self._loss = loss
        self._activation = ACTIVATIONS[self._settings[0].activation]
        self._layers = _layers_over(rows, layout, [lane.n_layers for lane in self._settings])
        self._buffers: dict[int, Buffers] = {}
        self._kept: dict[tuple[int, int], torch.Tensor] = {}
        self._masks: dict[int, DropoutMasks] = {}
        self._validation: dict[tuple[int, int, int], tuple[Layers, Buffers]] = {}

    def take_steps(
        self,
        batches: Sequence[torch.Tensor],
        target_SKCB: torch.Tensor,
        first_steps_K: torch.Tensor,
        update: Callable[[], None],
    ) -> torch.Tensor:
        n_steps, _, _, batch = target_SKCB.shape
        layers, n_lanes = self._layers, len(self._settings)
        if batch not in self._buffers:
            self._buffers[batch] = Buffers(layers, batch, is_training=True)
        buffers = self._buffers[batch]
        if (n_steps, batch) not in self._kept:
            shape = (n_steps, *buffers.output.shape)
            self._kept[n_steps, batch] = buffers.output.new_empty(shape)
        kept_SKCB = self._kept[n_steps, batch]
        masks = self._masks_of_steps(n_steps, batch, first_steps_K)
        loss, d_output_KCB = self._loss, buffers.d_output
        steps = zip(batches, target_SKCB.unbind(0), kept_SKCB.unbind(0), masks, strict=True)
        for x_BF, target_KCB, kept_KCB, masks_LkBH in steps:
            x_KBF = x_BF.expand(n_lanes, -1, -1)
            self._forward(x_KBF, masks_LkBH, layers, buffers)
            loss.gradient(buffers.output, target_KCB, kept=kept_KCB, out=d_output_KCB)
            self._backward(x_KBF, masks_LkBH, buffers)
            update()
        return loss.of_steps(kept_SKCB, target_SKCB)

    def outputs(self, x_BF: torch.Tensor, first: int, last: int) -> torch.Tensor:
        place = (first, last, len(x_BF))
        if place not in self._validation:
            layers = self._layers.of(first, last)
            self._validation[place] = layers, Buffers(layers, len(x_BF), is_training=False)
        layers, buffers = self._validation[place]
        self._forward(x_BF.expand(last - first, -1, -1), (), layers, buffers)
        return buffers.output

    def _masks_of_steps(
        self, n_steps: int, batch: int, first_steps_K: torch.Tensor
    ) -> Iterator[Sequence[torch.Tensor]]:
        """Yield per step the masks (k, B, H) of the layers; none if no lane has dropout."""
        depths, width = self._layers.depths, self._settings[0].width
        if not (depths[0] and any(lane.dropout for lane in self._settings)):
            yield from [()] * n_steps
            return
        n_filled = max(1, min(64, _MASK_ELEMENTS // (len(depths) * batch * width * depths[0])))
        if batch not in self._masks:
            self._masks[batch] = DropoutMasks(
                self._seeds,
                [lane.dropout for lane in self._settings],
                n_layers=depths[0],
                n_steps=n_filled,
                batch=batch,
                width=width,
                like=self._buffers[batch].output,
            )
        masks = self._masks[batch]
        n_lanes = [_deeper(depths, layer) for layer in range(depths[0])]
        for start in range(0, n_steps, n_filled):
            masks.fill(first_steps_K + start)
            for step in masks.by_step[: n_steps - start]:
                yield [mask_KBH[:n] for mask_KBH, n in zip(step, n_lanes, strict=True)]

    def _forward(
        self,
        x_KBF: torch.Tensor,
        masks_LkBH: Sequence[torch.Tensor],
        layers: Layers,
        buffers: "Buffers",
    ) -> None:
        """Fill `buffers.output` (K, C, B)."""
        for end in buffers.ends[0]:  # linear models
            end.forward(x_KBF)
        x_kBF = x_KBF
        for i, layer in enumerate(layers.hidden):
            z, a = buffers.z[i], buffers.a[i]
            torch.baddbmm(layer.bias, x_kBF[: z.n_lanes], layer.weight, out=z.kBH)
            self._activation.forward(z.padded, out=a.padded)
            x_kBF = a.kBH
            if masks_LkBH:
                x_kBF = torch.mul(x_kBF, masks_LkBH[i], out=buffers.dropped[i].kBH)
            for end in buffers.ends[i + 1]:
                end.forward(x_kBF)

    def _backward(
        self, x_KBF: torch.Tensor, masks_LkBH: Sequence[torch.Tensor], buffers: "Buffers"
    ) -> None:
        """Write the gradients, from `buffers.d_output` and the results of `_forward`."""
        layers = self._layers
        torch.sum(buffers.d_output, 2, keepdim=True, out=layers.output.bias_grad)
        inputs = buffers.dropped if masks_LkBH else buffers.a
        for i in range(len(layers.hidden) - 1, -1, -1):
            layer, d = layers.hidden[i], buffers.d[i]
            for end in buffers.ends[i + 1]:
                end.backward(inputs[i].kBH, d.kBH)
            if masks_LkBH:
                d.kBH.mul_(masks_LkBH[i])
            self._activation.backward(d.padded, buffers.z[i].padded, buffers.a[i].padded)
            x_kBF = inputs[i - 1].kBH if i else x_KBF
            layer.write_weight_grad(x_kBF[: d.n_lanes].transpose(1, 2), d.kBH)
            torch.sum(d.kBH, 1, keepdim=True, out=layer.bias_grad)
            if i:
                torch.bmm(d.kBH, layer.weight_t, out=buffers.d[i - 1].kBH[: d.n_lanes])
        for end in buffers.ends[0]:
            end.backward(x_KBF, None)


def _layers_over(rows: Rows, layout: Layout, depths: Sequence[int]) -> Layers:
    assert list(depths) == sorted(depths, reverse=True), "lanes are not sorted by depth"
    both = layout.by_name(rows.parameters_KD), layout.by_name(rows.gradients_KD)

    def layer(name: str, n_lanes: int) -> Layer:
        tensors = [rows[f"{name}.{kind}"][:n_lanes] for rows in both for kind in ("weight", "bias")]
        return Layer(*tensors)

    return Layers(
        depths=depths,
        hidden=[layer(f"hidden.{i}", _deeper(depths, i)) for i in range(depths[0])],
        output=layer(OUTPUT, len(depths)),
    )


class Buffers:
    """Activations and their gradients for one batch size."""

    def __init__(self, layers: Layers, batch: int, *, is_training: bool) -> None:
        def rows() -> list[_Rows]:
            return [_Rows(layer.weight, batch) for layer in layers.hidden]

        self.z = rows()
        self.a = rows() if is_training else self.z  # in place where no gradient is wanted
        self.d = rows() if is_training else []
        self.dropped = rows() if is_training else []
        # Contiguous: softmax's backward kernel writes to any other buffer as if it were.
        n_lanes, n_out, _ = layers.output.weight.shape
        self.output = layers.output.weight.new_empty(n_lanes, n_out, batch)
        self.d_output = torch.empty_like(self.output)
        self.ends: list[list[_End]] = [[] for _ in range(len(layers.hidden) + 1)]  # by depth
        first = 0
        for depth, lanes in groupby(layers.depths):
            part = slice(first, first := first + len(list(lanes)))
            end = _End(part, layers.output, self.output, self.d_output)
            self.ends[depth].append(end)


class _Rows:
    """Outputs of a layer: each lane's part aligned like its weights, with padding after it.

    Activations run over the padding too: it keeps the rows contiguous, and a kernel with a special
    case for the end of its input treats it alike for every lane.
    """

    def __init__(self, weight_kFH: torch.Tensor, batch: int) -> None:
        self.n_lanes, _, n_out = weight_kFH.shape
        self.padded = weight_kFH.new_zeros(self.n_lanes, padded(batch * n_out))
        self.kBH = self.padded[:, : batch * n_out].view(self.n_lanes, batch, n_out)


class _End:
    """The output layer of the lanes of one depth, with class-major outputs, (k, C, B).

    With a batch's rows next to each other, softmax and the small products run several times faster.
    """

    def __init__(
        self, lanes: slice, output: Layer, output_KCB: torch.Tensor, d_output_KCB: torch.Tensor
    ) -> None:
        self._lanes = lanes
        self._layer = output.of(lanes)
        self._output_kCB = output_KCB[lanes]
        self._d_output_kCB = d_output_KCB[lanes]

    def forward(self, x_kBH: torch.Tensor) -> None:
        """Compute outputs from the last hidden layer, of which these lanes have a part."""
        x_kHB = x_kBH[self._lanes].transpose(1, 2)
        torch.baddbmm(self._layer.bias, self._layer.weight, x_kHB, out=self._output_kCB)

    def backward(self, x_kBH: torch.Tensor, d_kBH: torch.Tensor | None) -> None:
        """Compute the weights' gradient and, into their part of `d_kBH`, that of the input."""
        layer, d_output_kCB = self._layer, self._d_output_kCB
        layer.write_weight_grad(d_output_kCB, x_kBH[self._lanes])
        if d_kBH is not None:
            torch.bmm(d_output_kCB.transpose(1, 2), layer.weight, out=d_kBH[self._lanes])
