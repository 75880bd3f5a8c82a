"""`tuner run` against stock Optuna: 100 digits trials each, on the same Postgres, in turn.

Both start from nothing but a running, empty database: interpreter start, imports and data
preparation are included. tuner starts with an empty home, so its data is prepared anew as well.
Ends with a line such as `tuner 9.8 s, optuna 19.6 s: 2.0x`, and with our time per trial outside
training. `--trainer ours` gives the baseline tuner's trainer, so that only the search differs.

usage: python tests/bench/end_to_end.py [--rounds 3] [--trials 100] [--trainer module|ours]
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
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url

from tuner.storage.home import Home
from tuner.storage.server import Server, open_server

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
    seconds, cpu_seconds, output = timed(command, environment)
    lines = [json.loads(line) for line in output.splitlines()]
    summary = lines[-1]
    training = sum(summary["device_seconds"].values())
    busy = 2 * summary["span_seconds"] - edge_seconds(environment)
    outside = 1000 * (busy - training) / options.trials
    print(
        f"         ours outside training: {outside:.1f} ms per trial"
        f" (two workers had work for {busy:.2f} s, of it {training:.2f} s training)"
    )
    return Result(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        best=summary["best"]["value"],
        n_epochs=sum(summary["epochs"].values()),
        training_seconds=training,
    )


def edge_seconds(environment: dict[str, str]) -> float:
    """When one worker alone had work: until the second trial began, from the last but one's end."""
    command = [sys.executable, "-m", "tuner.cli", "trials", "digits", "--json"]
    _, _, output = timed(command, environment)
    trials = json.loads(output)
    starts = sorted(datetime.fromisoformat(trial["started_at"]) for trial in trials)
    ends = sorted(datetime.fromisoformat(trial["ended_at"]) for trial in trials)
    return ((starts[1] - starts[0]) + (ends[-1] - ends[-2])).total_seconds()


def run_stock(options: argparse.Namespace, folder: Path, url: str, seed: int) -> Result:
    (data, *_) = (folder / "home-0" / "data").iterdir()
    command = [sys.executable, str(ROOT / "tests" / "bench" / "stock_optuna.py"), url]
    command += ["--trials", str(options.trials), "--seed", str(seed)]
    command += ["--trainer", options.trainer, "--data", str(data)]
    seconds, cpu_seconds, output = timed(command, dict(os.environ))
    answer = json.loads(output.splitlines()[-1])
    return Result(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        best=answer["best"],
        n_epochs=answer["epochs"],
        training_seconds=answer["training_seconds"],
    )


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds of the process and its children, and standard output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    result = subprocess.run(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu_seconds, result.stdout


if __name__ == "__main__":
    main()
