"""What tuner adds to a training function: per trial and per report, against running it alone.

The same `def train(trial)` runs in turn: alone, a loop of plain calls in one process with
`tuner.Trial`; and as the objective of a study, one worker, on an embedded Postgres. Three pairs of
runs give the numbers:

- *trivial*: trials that only report. A fresh process per trial cannot be hidden behind training
  here, so this is the most that a trial can cost. Two numbers of reports: the difference is the
  price of a report, at steps where nobody decides and at steps where a pruner does (`median` that
  never prunes: each report waits for its verdict).
- *work*: trials with a fixed amount of work at every step, longer than a process takes to start.
  The spare is ready then: what is left per trial is the hand-over.

tuner's time is from the first trial's start to the last one's end in the record, so that the start
of interpreter, server and study does not count. Every round runs all pairs; the table shows
medians, and absolute numbers beside the ratios.

usage: python tests/bench/function_overhead.py [--rounds 3] [--trials 8] [--reports 1000]
                                               [--steps 300] [--step-ms 10]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url

from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server, open_server

ROOT = Path(__file__).resolve().parents[2]

TRAIN = """\
def train(trial):
    n = trial.params["work"]
    for step in range(1, trial.params["epochs"] + 1):
        total = 0
        for i in range(n):
            total += i
        trial.report(step=step, val_loss=trial.params["lr"] / step)
"""

ALONE = """\
import json, sys, time
import torch  # a worker has it loaded as well
import tuner
sys.path.insert(0, ".")
from train import train
trials, epochs, work = map(int, sys.argv[1:])
torch.set_num_threads(1)
start = time.perf_counter()
for number in range(trials):
    train(tuner.Trial(params={"lr": 0.1, "epochs": epochs, "work": work}, seed=number))
print(json.dumps(time.perf_counter() - start))
"""

STUDY = """\
name: {name}
objective: train.py:train
minimize: val_loss
params: {{epochs: {epochs}, work: {work}}}
search_space: {{lr: {{float: [0.1, 0.2]}}}}
sampler: random
pruner: {pruner}
budget: {{trials: {trials}}}
"""

DECIDES = "{median: {n_startup_trials: 1000000}}"  # asked at every step, prunes nothing


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The same trials in both ways."""

    alone: float  # seconds of all trials
    tuner: float


class Bench:
    """One folder, one server, a database per run."""

    program, study = TRAIN, STUDY

    def __init__(self, folder: Path, server: Server) -> None:
        self._folder = folder
        self._server = server
        self._n_runs = 0
        (folder / "train.py").write_text(self.program)

    def pair(self, *, trials: int, epochs: int, work: int = 0, pruner: str = "none") -> Pair:
        """Alone, then as a study."""
        alone = self._alone(trials, epochs, work)
        return Pair(alone=alone, tuner=self._tuner(trials, epochs, work, pruner))

    def work_for(self, step_ms: float) -> int:
        """Loop turns that take about so long here."""
        seconds = self._alone(1, 50, 20_000) / 50
        return max(1, round(20_000 * step_ms / 1000 / seconds))

    def _alone(self, trials: int, epochs: int, work: int) -> float:
        command = [sys.executable, "-c", ALONE, str(trials), str(epochs), str(work)]
        return float(self._run(command, {}))

    def _tuner(self, trials: int, epochs: int, work: int, pruner: str) -> float:
        self._n_runs += 1
        name = f"overhead{self._n_runs}"
        study = self._folder / f"{name}.yaml"
        study.write_text(
            self.study.format(name=name, epochs=epochs, work=work, pruner=pruner, trials=trials)
        )
        url = {"TUNER_STORAGE": create_database(self._server, name)}
        command = [sys.executable, "-m", "tuner.cli"]
        self._run([*command, "run", str(study), "--workers", "1", "--json"], url)
        rows = json.loads(self._run([*command, "trials", name, "--json"], url))
        states = {row["state"] for row in rows}
        assert (len(rows), states) == (trials, {"COMPLETE"}), rows
        begins = [datetime.fromisoformat(row["started_at"]) for row in rows]
        ends = [datetime.fromisoformat(row["ended_at"]) for row in rows]
        return (max(ends) - min(begins)).total_seconds()

    def _run(self, command: list[str], more: dict[str, str]) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CUDA_VISIBLE_DEVICES": "",
            "TUNER_HOME": str(self._folder),
            **more,
        }
        return subprocess.run(
            command,
            env=environment,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        ).stdout


def create_database(server: Server, name: str) -> str:
    """Create an empty database; return its URL."""
    admin = psycopg2.connect(host=str(server.socket_folder), user="tuner", dbname="postgres")
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"create database {name}")
    admin.close()
    return make_url(server.url).set(database=name).render_as_string()


def main(bench: type[Bench] = Bench) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=8, help="of every run")
    parser.add_argument("--reports", type=int, default=1000, help="of a trivial trial")
    parser.add_argument("--steps", type=int, default=300, help="of a trial with work")
    parser.add_argument("--step-ms", type=float, default=10.0, help="work of a step, about")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tuner-bench-"))
    folder.chmod(0o711)
    server = open_server(Home(path=folder))
    try:
        run_rounds(options, bench(folder, server))
    finally:
        server.close()
        time.sleep(1)  # the keeper stops the server
        shutil.rmtree(folder, ignore_errors=True)


def run_rounds(options: argparse.Namespace, bench: Bench) -> None:
    """All pairs, round after round, then the table."""
    n, reports = options.trials, options.reports
    work = bench.work_for(options.step_ms)
    pairs: dict[str, list[Pair]] = {}
    for index in range(options.rounds):
        for name, pair in {
            "one report": bench.pair(trials=n, epochs=1),
            "reports": bench.pair(trials=n, epochs=1 + reports),
            "verdicts": bench.pair(trials=n, epochs=1 + reports, pruner=DECIDES),
            "work": bench.pair(trials=n, epochs=options.steps, work=work),
        }.items():
            pairs.setdefault(name, []).append(pair)
            print(
                f"round {index} {name}: alone {pair.alone:.3f} s, tuner {pair.tuner:.3f} s",
                flush=True,
            )
    one, many = _medians(pairs["one report"]), _medians(pairs["reports"])
    asked, busy = _medians(pairs["verdicts"]), _medians(pairs["work"])
    print(f"\n{n} trials a run, medians of {options.rounds} rounds, one worker")
    print(f"{'':46}{'alone':>12}{'tuner':>12}{'added':>12}{'ratio':>9}")
    _row("trivial: a trial (ms)", one, 1000 / n)
    _row("trivial: a report, nobody decides (us)", _minus(many, one), 1e6 / n / reports)
    _row("trivial: a report with its verdict (us)", _minus(asked, one), 1e6 / n / reports)
    _row(f"work: a trial of {options.steps} steps (ms)", busy, 1000 / n)
    _row("work: a step (us)", busy, 1e6 / n / options.steps)


def _medians(pairs: list[Pair]) -> Pair:
    return Pair(
        alone=statistics.median(pair.alone for pair in pairs),
        tuner=statistics.median(pair.tuner for pair in pairs),
    )


def _minus(more: Pair, less: Pair) -> Pair:
    return Pair(alone=more.alone - less.alone, tuner=more.tuner - less.tuner)


def _row(name: str, pair: Pair, unit: float) -> None:
    alone, ours = pair.alone * unit, pair.tuner * unit
    ratio = f"{ours / alone:.2f}x" if alone > 0 else "-"
    print(f"{name:46}{alone:12.2f}{ours:12.2f}{ours - alone:12.2f}{ratio:>9}")


if __name__ == "__main__":
    main()
