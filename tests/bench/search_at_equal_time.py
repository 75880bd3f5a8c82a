"""Best validation loss at equal time: fused groups, and trials one by one.

Three ways: "fused" is `workers.lanes: auto`; "modules" is stock Optuna with as many processes,
ordinary modules and fused optimizers on preloaded data (`stock_optuna.py`: the same rows, space,
rungs and Postgres); "lean" is `workers.lanes: 1`, one by one with the hand-written step of fused
groups, which is by itself two to four times as fast as a module.

A cell is a real study with a limit of time and none of trials that would count, in a database of
its own on one server that stays up. The ways take turns, seed after seed, and the order alternates.
Time counts from the start of a study's first trial, and a value counts when its trial is COMPLETE:
both come from the public record, read with Optuna.

The tables, one against each way of one by one, have a row per data set and sampler: the median over
the seeds of the best value at quarters of the time; at the end, how often each way was better; and
the time in which fused reached the final value of one by one, as a share of the time in which that
way reached it itself (median; a fused study that never did counts as infinite). Results are
appended to a file of JSON lines, and the tables are of all lines in it, so a long bench can be run
in pieces.

usage: python -m tests.bench.search_at_equal_time [--seconds 17] [--seeds 0 1 2 3 4]
           [--sets digits breast_cancer diabetes] [--samplers tpe random] [--lanes auto|N]
           [--ways ...] [--workers N (default: one per core)] [--out FILE] [--table]
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import optuna

from tests.bench.end_to_end import ROOT, create
from tests.data_requests import data_request
from tuner.errors import NoCompleteTrial
from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server, open_server
from tuner.training.data.preparing import prepare

STUDY = """\
name: {name}
objective:
  data: {{sklearn: {data}}}
  model: mlp
minimize: val_loss
params: {{epochs: 27, width: 64}}
search_space:
  learning_rate: {{float: [1e-4, 1e-1], log: true}}
  batch_size: {{choice: [16, 32, 64, 128]}}
  n_layers: {{int: [1, 4]}}
  weight_decay: {{float: [1e-6, 1e-2], log: true}}
  dropout: {{float: [0, 0.5]}}
sampler: {sampler}
pruner: {{asha: {{min_resource: 1, reduction_factor: 3}}}}
seed: {seed}
budget: {{time: {seconds:g}s, trials: 1000000}}
"""
FUSED, MODULES, LEAN = "fused", "modules", "lean"
WAYS = (FUSED, MODULES, LEAN)
NO_COMPLETE_TRIAL = NoCompleteTrial.exit_code
_SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished study: when it got how good."""

    data: str
    sampler: str
    seed: int
    way: str
    seconds: float  # its limit
    n_trials: int
    n_epochs: int
    curve: tuple[tuple[float, float], ...]  # (seconds since the first trial began, a new best)

    @property
    def final(self) -> float:
        return self.best_at(self.seconds)

    def best_at(self, seconds: float) -> float:
        """The best value by then; infinite before the first one."""
        return min((value for at, value in self.curve if at <= seconds), default=math.inf)

    def reaches(self, value: float) -> float:
        """Seconds until it was as good; infinite if it never was."""
        return min((at for at, best in self.curve if best <= value), default=math.inf)


class Bench:
    """One server and one home for all cells."""

    def __init__(self, folder: Path, server: Server, workers: int, lanes: str) -> None:
        self._folder = folder
        self._server = server
        self._workers = workers
        self._lanes = {FUSED: lanes, LEAN: "1"}
        self._n_runs = 0

    def run(self, data: str, sampler: str, seed: int, way: str, seconds: float) -> Run:
        """One cell."""
        self._n_runs += 1
        name = f"cell{self._n_runs}"
        url = create(self._server, name)
        if way == MODULES:
            command = [sys.executable, str(ROOT / "tests" / "bench" / "stock_optuna.py"), url]
            command += ["--name", name, "--sampler", sampler, "--seed", str(seed)]
            command += ["--prepared", str(self._prepare(data)), "--processes", str(self._workers)]
            self._call([*command, "--seconds", str(seconds), "--trials", "1000000"], url)
        else:
            file = self._folder / f"{name}.yaml"
            file.write_text(
                STUDY.format(name=name, data=data, sampler=sampler, seed=seed, seconds=seconds)
            )
            command = [sys.executable, "-m", "tuner.cli", "run", str(file), "--json"]
            command += ["--workers", str(self._workers)]
            self._call([*command, "--set", f"workers.lanes={self._lanes[way]}"], url)
        n_trials, n_epochs, curve = read_curve(url, name)
        return Run(
            data=data,
            sampler=sampler,
            seed=seed,
            way=way,
            seconds=seconds,
            n_trials=n_trials,
            n_epochs=n_epochs,
            curve=curve,
        )

    def _prepare(self, data: str) -> Path:
        """The folder of a data set, as tuner's own studies find it."""
        return prepare(data_request({"sklearn": data}), self._folder / "data").folder

    def _call(self, command: Sequence[str], url: str) -> None:
        environment = {**os.environ, "TUNER_STORAGE": url, "TUNER_HOME": str(self._folder)}
        log = self._folder / "log"
        with log.open("w") as output:
            done = subprocess.run(
                command, env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )
        if done.returncode not in (0, NO_COMPLETE_TRIAL):
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{log.read_text()[-2000:]}")


def read_curve(url: str, name: str) -> tuple[int, int, tuple[tuple[float, float], ...]]:
    """Trials, epochs and the new bests of a study, from the public record."""
    trials = optuna.load_study(study_name=name, storage=url).get_trials(deepcopy=False)
    starts = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    ends = sorted(
        ((trial.datetime_complete - min(starts)).total_seconds(), trial.value)
        for trial in trials
        if trial.state is optuna.trial.TrialState.COMPLETE
        and trial.datetime_complete is not None
        and trial.value is not None
    )
    curve: list[tuple[float, float]] = []
    for at, value in ends:
        if not curve or value < curve[-1][1]:
            curve.append((at, value))
    return len(trials), sum(len(t.intermediate_values) for t in trials), tuple(curve)


def render(runs: Sequence[Run]) -> str:
    """Markdown: a table for each way of one by one, a row per data set and sampler."""
    ways = [way for way in WAYS if way != FUSED and any(run.way == way for run in runs)]
    return "\n\n".join(_table(runs, way) for way in ways)


def _table(runs: Sequence[Run], alone: str) -> str:
    head = [f"{alone} -> fused", "seeds", "trials", "epochs"]
    head += [f"best at {share:.0%}" for share in _SHARES]
    head += ["fused better / equal / worse", "time to its final value"]
    lines = [" | ".join(["", *head, ""]).strip(), "|---" * len(head) + "|"]
    for data, sampler in dict.fromkeys((run.data, run.sampler) for run in runs):
        mine = [run for run in runs if (run.data, run.sampler) == (data, sampler)]
        lines.append(_row(f"{data}, {sampler}", _pairs(mine, alone)))
    return "\n".join(lines)


def _pairs(runs: Sequence[Run], alone: str) -> list[tuple[Run, Run]]:
    """One by one and fused, of each seed; a seed that was measured again counts again."""
    ways = ([run for run in runs if run.way == way] for way in (alone, FUSED))
    by_seed = (sorted(mine, key=lambda run: run.seed) for mine in ways)
    return list(zip(*by_seed, strict=False))


def _row(name: str, pairs: Sequence[tuple[Run, Run]]) -> str:
    if not pairs:
        return f"| {name} | 0 |"
    sides = list(zip(*pairs, strict=True))  # all one by one, all fused
    trials, epochs = (
        " -> ".join(
            f"{statistics.median(getattr(run, what) for run in runs):.0f}" for runs in sides
        )
        for what in ("n_trials", "n_epochs")
    )
    bests = [
        " -> ".join(
            f"{statistics.median(run.best_at(share * run.seconds) for run in runs):.3g}"
            for runs in sides
        )
        for share in _SHARES
    ]
    n_better = sum(fused.final < alone.final for alone, fused in pairs)
    n_equal = sum(fused.final == alone.final for alone, fused in pairs)
    ratios = [
        fused.reaches(alone.final) / alone.reaches(alone.final)
        for alone, fused in pairs
        if alone.curve
    ]
    ratio = f"{statistics.median(ratios):.2f}" if ratios else "-"
    counts = f"{n_better} / {n_equal} / {len(pairs) - n_better - n_equal}"
    return "| " + " | ".join([name, str(len(pairs)), trials, epochs, *bests, counts, ratio]) + " |"


def load_runs(file: Path) -> list[Run]:
    """The results so far."""
    if not file.exists():
        return []
    rows = map(json.loads, file.read_text().splitlines())
    return [Run(**{**row, "curve": tuple(map(tuple, row["curve"]))}) for row in rows]


def measure(options: argparse.Namespace, bench: Bench) -> None:
    """All cells; each result is written at once."""
    for seed in options.seeds:
        for data in options.sets:
            for sampler in options.samplers:
                for way in options.ways if seed % 2 else options.ways[::-1]:
                    run = bench.run(data, sampler, seed, way, options.seconds)
                    with options.out.open("a") as file:
                        file.write(json.dumps(asdict(run)) + "\n")
                    print(
                        f"{data}, {sampler}, seed {seed}, {way}: best {run.final:.3g},"
                        f" {run.n_trials} trials, {run.n_epochs} epochs",
                        flush=True,
                    )


OUT = Path(tempfile.gettempdir()) / "search_at_equal_time.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=17)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--sets", nargs="*", default=["digits", "breast_cancer", "diabetes"])
    parser.add_argument("--samplers", nargs="*", default=["tpe", "random"])
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--lanes", default="auto", help="workers.lanes of the fused ones")
    parser.add_argument("--out", type=Path, default=OUT, help="the runs, for --add and --table")
    parser.add_argument("--add", action="store_true", help="to the runs that are in the file")
    parser.add_argument("--table", action="store_true", help="of what is in the file; runs nothing")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not options.table:
        if not options.add:
            options.out.unlink(missing_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="tuner-bench-"))
        folder.chmod(0o711)
        server = open_server(Home(path=folder))
        try:
            measure(options, Bench(folder, server, options.workers, options.lanes))
        finally:
            server.close()
            time.sleep(1)  # the keeper stops the server
            shutil.rmtree(folder, ignore_errors=True)
    print(render(load_runs(options.out)))


if __name__ == "__main__":
    main()
