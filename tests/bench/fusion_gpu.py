"""The rows of the bench of groups that need a GPU: width 128, a small CNN, the part of its peak.

An epoch is what `fusion.py` says, on the device, by the wall clock, with the device waited for.
The peak is that of large float32 products on this device with torch's settings as they are.
"""

import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import torch

from tests.bench.fused import RATE, epoch_seconds, fused_epoch, random_data
from tests.bench.sequential import best_epoch, mlp
from tuner.training.data.dataset import Dataset

LANES = (1, 16, 64, 256, 1024)
BATCH = 64
WIDTH, DEPTH = 128, 2
N_ROWS = 4096
SIDE = 32  # of an image
MLP_TARGET, CNN_TARGET = 30.0, 10.0


class SmallCNN(torch.nn.Module):
    """Three convolutions over 32 x 32 images that come as rows."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Unflatten(1, (3, SIDE, SIDE)),
            torch.nn.Conv2d(3, 16, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(32, 32, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(32 * 16, 10),
        )

    def forward(self, x_BF: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.body(x_BF)
        return output


def gpu_table(rounds: int) -> str:
    """Markdown; one sentence without a GPU."""
    if not torch.cuda.is_available():
        return "no GPU: not measured"
    rows = [
        f"{torch.cuda.get_device_name()}, {N_ROWS} rows, batch {BATCH}; best loop = 1x",
        "",
        "| model | best loop | " + " | ".join(f"k={k}" for k in LANES) + " | target |",
        "|---" * (len(LANES) + 3) + "|",
    ]
    data = random_data(N_ROWS).to("cuda")
    images = random_data(N_ROWS, n_features=3 * SIDE * SIDE).to("cuda")

    def perceptron() -> torch.nn.Module:
        return mlp(data.n_features, data.n_outputs, width=WIDTH, depth=DEPTH).to("cuda")

    perceptrons, text = _row("MLP 128/2", perceptron, data, None, MLP_TARGET, rounds)
    rows.append(text)
    rows.append(
        _row("CNN 32x32", lambda: SmallCNN().cuda(), images, SmallCNN, CNN_TARGET, rounds)[1]
    )
    peak = _peak_flops()
    best = max(k * _epoch_flops(data) / seconds for k, seconds in perceptrons.items())
    rows.append(
        f"\nMLP 128/2: at best {best / 1e12:.1f} of {peak / 1e12:.1f} TFLOP/s of large products, "
        f"{best / peak:.0%} of the peak"
    )
    return "\n".join(rows)


def _row(
    name: str,
    module: Callable[[], torch.nn.Module],
    data: Dataset,
    build: Callable[..., torch.nn.Module] | None,
    target: float,
    rounds: int,
) -> tuple[dict[int, float], str]:
    """Seconds of an epoch of k lanes by k, and the line."""
    params = {"batch_size": BATCH, "width": WIDTH, "n_layers": DEPTH}
    loop = best_epoch(module(), data, BATCH, RATE)
    groups = {k: fused_epoch([params] * k, data, build=build) for k in LANES}
    alone: list[float] = []
    fused: dict[int, list[float]] = {k: [] for k in LANES}
    for _ in range(rounds + 1):
        alone.append(epoch_seconds(loop, 1, _now))
        for k, epoch in groups.items():
            fused[k].append(epoch_seconds(epoch, 1, _now))
    factors = {
        k: statistics.median(k * a / f for a, f in zip(alone[1:], fused[k][1:], strict=True))
        for k in LANES
    }
    is_met = max(factors.values()) >= target
    n_steps = N_ROWS // BATCH
    cells = " | ".join(f"{factor:.1f}x" for factor in factors.values())
    step = 1e6 * statistics.median(alone[1:]) / n_steps
    line = f"| {name} | {step:.0f} us a step | {cells} | {target:g}x: "
    line += f"{'met' if is_met else 'MISSED'} |"
    return {k: statistics.median(fused[k][1:]) for k in LANES}, line


def _now() -> float:
    """The wall clock, when the device has done what it was told."""
    torch.cuda.synchronize()
    return time.perf_counter()


def _epoch_flops(data: Dataset) -> float:
    """Of one lane's products: forward, weight gradients, and those of all inputs but the data."""
    sizes = [data.n_features, *[WIDTH] * DEPTH, data.n_outputs]
    products = [a * b for a, b in pairwise(sizes)]
    return 2.0 * N_ROWS * (3 * sum(products) - products[0])


def _peak_flops(side: int = 8192) -> float:
    """Of a large float32 product."""
    a = torch.randn(side, side, device="cuda")
    b = torch.randn(side, side, device="cuda")
    product = torch.empty_like(a)

    def multiply() -> None:
        torch.mm(a, b, out=product)

    multiply()
    return 2.0 * side**3 / min(epoch_seconds(multiply, 5, _now) for _ in range(5))
