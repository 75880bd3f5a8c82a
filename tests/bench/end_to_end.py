"""`tuner run` against stock Optuna: 100 digits trials each, on the same Postgres, in turn.

Both start from nothing but a running, empty database: interpreter start, imports and data
preparation are included. tuner starts with an empty home, so its data is prepared anew as well.
Ends with a line such as `tuner 9.8 s, optuna 19.6 s: 2.0x`; each round tells where our wall time
went, and our time per trial outside training. `--trainer ours` gives the baseline tuner's trainer,
one trial at a time, so that the search and fusing differ.

usage: python tests/bench/end_to_end.py [--rounds 3] [--trials 100] [--trainer module|ours]
           [--lanes auto|N]
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url

from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server, open_server

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run."""

    seconds: float
    cpu_seconds: float  # of the run's own processes; the database's are not counted
    best: float
    n_epochs: int
    training_seconds: float  # summed over the processes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--lanes", default="auto", help="of tuner: auto, or a number")
    parser.add_argument("--trainer", choices=["module", "ours"], default="module")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tuner-bench-"))
    folder.chmod(0o711)
    server = open_server(Home(path=folder))
    try:
        run_rounds(options, folder, server)
    finally:
        server.close()
        time.sleep(1)  # the keeper stops the server
        shutil.rmtree(folder, ignore_errors=True)


def run_rounds(options: argparse.Namespace, folder: Path, server: Server) -> None:
    ours: list[Result] = []
    stock: list[Result] = []
    for index in range(options.rounds):
        ours.append(
            run_tuner(options, folder / f"home-{index}", create(server, f"t{index}"), index)
        )
        stock.append(run_stock(options, folder, create(server, f"s{index}"), index))
        ratio = stock[-1].seconds / ours[-1].seconds
        print(f"round {index}: tuner {describe(ours[-1])}", flush=True)
        print(f"         optuna {describe(stock[-1])}: {ratio:.1f}x", flush=True)
    ratio = statistics.median(s.seconds / o.seconds for o, s in zip(ours, stock, strict=True))
    tuner_seconds = statistics.median(result.seconds for result in ours)
    stock_seconds = statistics.median(result.seconds for result in stock)
    print(f"tuner {tuner_seconds:.1f} s, optuna {stock_seconds:.1f} s: {ratio:.1f}x")


def describe(result: Result) -> str:
    return (
        f"{result.seconds:.1f} s wall, {result.cpu_seconds:.1f} s CPU, best {result.best:.4f}, "
        f"{result.n_epochs} epochs, {result.training_seconds:.1f} s training"
    )


def create(server: Server, name: str) -> str:
    """An empty database."""
    admin = psycopg2.connect(host=str(server.socket_folder), user="tuner", dbname="postgres")
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"create database {name}")
    admin.close()
    return make_url(server.url).set(database=name).render_as_string()


def run_tuner(options: argparse.Namespace, home: Path, url: str, seed: int) -> Result:
    home.mkdir(mode=0o711)
    text = (ROOT / "studies" / "digits.yaml").read_text()
    text = text.replace("trials: 100", f"trials: {options.trials}") + f"\nseed: {seed}\n"
    study = home / "digits.yaml"
    study.write_text(text)
    environment = {**os.environ, "TUNER_STORAGE": url, "TUNER_HOME": str(home)}
    command = [sys.executable, "-m", "tuner.cli", "run", str(study), "--workers", "2", "--json"]
    command += ["--set", f"workers.lanes={options.lanes}"]
    run = timed(command, environment)
    summary = json.loads(run.lines[-1][1])
    training = sum(summary["device_seconds"].values())
    busy = sum(agent["device_seconds_busy"] for agent in summary["agents"])
    outside = 1000 * (busy - training) / options.trials
    print(
        f"         ours: {phases(run)}; outside training {outside:.1f} ms per trial"
        f" (workers had trials for {busy:.2f} s, of it {training:.2f} s training)"
    )
    return Result(
        seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        best=summary["best"]["value"],
        n_epochs=sum(summary["steps"].values()),
        training_seconds=training,
    )


def phases(run: "Timed") -> str:
    """Where a run's wall time went, by what it said: the start, the trials, the end."""
    first = next((at for at, line in run.lines if '"TrialStarted"' in line), run.seconds)
    last = max((at for at, line in run.lines if '"TrialEnded"' in line), default=run.seconds)
    return f"trials from {first:.1f} to {last:.1f} s, exit at {run.seconds:.1f} s"


def run_stock(options: argparse.Namespace, folder: Path, url: str, seed: int) -> Result:
    (data, *_) = (folder / "home-0" / "data").iterdir()
    command = [sys.executable, str(ROOT / "tests" / "bench" / "stock_optuna.py"), url]
    command += ["--trials", str(options.trials), "--seed", str(seed)]
    command += ["--trainer", options.trainer, "--data", str(data)]
    run = timed(command, dict(os.environ))
    answer = json.loads(run.lines[-1][1])
    return Result(
        seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        best=answer["best"],
        n_epochs=answer["epochs"],
        training_seconds=answer["training_seconds"],
    )


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A command that has ended."""

    seconds: float
    cpu_seconds: float  # of the process and its children
    lines: Sequence[tuple[float, str]]  # of its standard output, each with when it came


def timed(command: list[str], environment: dict[str, str]) -> Timed:
    """Run a command that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    lines = []
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append((time.perf_counter() - start, line))
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(seconds=seconds, cpu_seconds=cpu_seconds, lines=lines)


if __name__ == "__main__":
    main()
