"""The baseline: a study with stock Optuna on Postgres, written as well as we can.

Two processes, RDBStorage, TPE, SuccessiveHalvingPruner with our rungs. Data preloaded as tensors,
a fused optimizer, no DataLoader, one thread per process. `--trainer ours` trains with tuner's own
lanes instead of an ordinary module, so that only the search loop differs.

usage: stock_optuna.py URL [--name stock] [--trials 100] [--seconds S] [--epochs 27]
                           [--processes 2] [--seed 0] [--sampler tpe|random]
                           [--trainer module|ours] [--data FOLDER] [--prepared FOLDER]
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    Tensors = tuple[torch.Tensor, torch.Tensor]  # features and labels
    Splits = tuple[Tensors, Tensors, int]  # training, validation, the model's outputs

Params = dict[str, Any]
ShouldStop = Callable[[int, float], bool]  # epoch, validation loss -> pruned
Train = Callable[[int, Params, ShouldStop], bool]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--name", default="stock")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seconds", type=float, help="begin no trial later; None: no limit")
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sampler", choices=["tpe", "random"], default="tpe")
    parser.add_argument("--prepared", default="", help="data of tuner's, instead of digits")
    parser.add_argument("--trainer", choices=["module", "ours"], default="module")
    parser.add_argument("--data", default="")
    options = parser.parse_args()

    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(study_name=options.name, storage=options.url, direction="minimize")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    children = [
        context.Process(target=work, args=(options, index, queue))
        for index in range(options.processes)
    ]
    for child in children:
        child.start()
    training_seconds = sum(queue.get() for _ in children)
    for child in children:
        child.join()
    study = optuna.load_study(study_name=options.name, storage=options.url)
    states = [trial.state.name for trial in study.trials]
    print(
        json.dumps(
            {
                "best": study.best_value,
                "complete": states.count("COMPLETE"),
                "pruned": states.count("PRUNED"),
                "epochs": sum(len(trial.intermediate_values) for trial in study.trials),
                "training_seconds": training_seconds,
            }
        )
    )


def work(options: argparse.Namespace, index: int, queue: "multiprocessing.Queue[float]") -> None:
    """One worker process: its share of the trials."""
    import optuna
    import torch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    train = train_module(options) if options.trainer == "module" else train_ours(options)
    clock = [0.0]

    def objective(trial: optuna.Trial) -> float:
        params = {
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
            "n_layers": trial.suggest_int("n_layers", 1, 4),
            "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
            "dropout": trial.suggest_float("dropout", 0, 0.5),
        }
        losses: list[float] = []
        in_search = 0.0

        def should_stop(epoch: int, loss: float) -> bool:
            nonlocal in_search
            start = time.perf_counter()
            losses.append(loss)
            trial.report(loss, epoch)
            is_pruned = trial.should_prune()
            in_search += time.perf_counter() - start
            return is_pruned

        start = time.perf_counter()
        is_pruned = train(trial.number, params, should_stop)
        clock[0] += time.perf_counter() - start - in_search
        if is_pruned:
            raise optuna.TrialPruned
        return min(losses)

    samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    study = optuna.load_study(
        study_name=options.name,
        storage=options.url,
        sampler=samplers[options.sampler](seed=options.seed * 1000 + index),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    )
    study.optimize(
        objective,
        timeout=options.seconds,
        callbacks=[optuna.study.MaxTrialsCallback(options.trials, states=None)],
    )
    queue.put(clock[0])


def train_module(options: argparse.Namespace) -> Train:
    """An ordinary torch module and optimizer on preloaded tensors."""
    import torch

    train_split, validation, n_outputs = _prepared(options) if options.prepared else _digits()
    (x, y), (vx, vy) = train_split, validation
    functional = torch.nn.functional
    loss_of = functional.cross_entropy if n_outputs > 1 else functional.mse_loss

    def train(number: int, params: Params, should_stop: ShouldStop) -> bool:
        torch.manual_seed(number)
        layers: list[torch.nn.Module] = []
        width = x.shape[1]
        for _ in range(params["n_layers"]):
            layers += [torch.nn.Linear(width, 64), torch.nn.ReLU()]
            layers += [torch.nn.Dropout(params["dropout"])]
            width = 64
        model = torch.nn.Sequential(*layers, torch.nn.Linear(width, n_outputs))
        optimizer = torch.optim.Adam(
            model.parameters(),
            lr=params["learning_rate"],
            weight_decay=params["weight_decay"],
            fused=True,
        )
        for epoch in range(1, options.epochs + 1):
            model.train()
            for batch in torch.randperm(len(x)).split(params["batch_size"]):
                optimizer.zero_grad(set_to_none=True)
                loss_of(model(x[batch]), y[batch]).backward()
                optimizer.step()
            model.eval()
            with torch.inference_mode():
                loss = float(loss_of(model(vx), vy))
            if should_stop(epoch, loss):
                return True
        return False

    return train


def _digits() -> "Splits":
    """As anybody would write it; other rows are held out than in tuner's split."""
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    features, labels = load_digits(return_X_y=True)
    train_x, rest_x, train_y, rest_y = train_test_split(
        features, labels, test_size=0.3, random_state=0, stratify=labels
    )
    val_x, _, val_y, _ = train_test_split(
        rest_x, rest_y, test_size=0.5, random_state=0, stratify=rest_y
    )
    mean, std = train_x.mean(0), train_x.std(0)
    std[std == 0] = 1

    def tensors(x: Any, y: Any) -> "Tensors":
        return torch.tensor((x - mean) / std, dtype=torch.float32), torch.tensor(y)

    return tensors(train_x, train_y), tensors(val_x, val_y), 10


def _prepared(options: argparse.Namespace) -> "Splits":
    """What tuner has prepared: the same rows in the same split, the same standardized target."""
    from tuner.training.data.dataset import Split, load_dataset

    data = load_dataset(Path(options.prepared), "cpu")

    def tensors(split: Split) -> "Tensors":
        return split.x_NF, split.y_N if data.n_classes else split.y_N[:, None]

    return tensors(data.train), tensors(data.validation), data.n_outputs


def train_ours(options: argparse.Namespace) -> Train:
    """tuner's own trainer under Optuna's loop."""
    from tuner.study.goal import Goal
    from tuner.study.trial import Direction, Values
    from tuner.study.verdict import Outcome, Verdict
    from tuner.study_file.params.trainer_params import resolve
    from tuner.training.data.dataset import load_dataset
    from tuner.training.groups.device_groups import Groups
    from tuner.training.groups.device_groups import train as train_lanes
    from tuner.training.groups.sizes import FixedSizes
    from tuner.training.lane import DetachedLane
    from tuner.training.losses.built_in import loss_of
    from tuner.training.mlp.stack import MLP

    data = load_dataset(Path(options.data), "cpu")
    loss = loss_of(data)
    model = MLP(data.n_features, data.n_outputs, loss)
    goal = Goal(metric="val_loss", direction=Direction.MINIMIZE)

    class OptunaLane(DetachedLane):
        def __init__(self, number: int, params: Params, should_stop: ShouldStop) -> None:
            super().__init__(resolve({"width": 64, "epochs": options.epochs, **params}), number)
            self._should_stop = should_stop
            self._last = (0, 0.0)

        def report(self, step: int, values: Values, *, is_last: bool = False) -> None:
            self._last = (step, values["val_loss"])
            if step == options.epochs:  # the trainer asks for no verdict at the end
                self._should_stop(*self._last)

        def verdict(self) -> Verdict:
            is_asked = self._last[0] > 0  # the trainer asks before the first epoch, too
            return (
                Verdict.PRUNE if is_asked and self._should_stop(*self._last) else Verdict.CONTINUE
            )

    def train(number: int, params: Params, should_stop: ShouldStop) -> bool:
        lane = OptunaLane(number, params, should_stop)
        groups = Groups(model, data, loss, data_seed=0, goal=goal, sizes=FixedSizes(1))
        (departure,) = train_lanes(groups, [lane])
        return departure.how is Outcome.PRUNED

    return train


if __name__ == "__main__":
    main()
