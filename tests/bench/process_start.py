"""What a start costs: the first trial of a run, and each of many short trials of a function.

- *first trial*: from the start of `tuner run studies/digits.yaml` until its first trial is given to
  a worker that is ready, against `python -c "import torch"`. The home exists, the data is prepared,
  and the embedded server starts with the run.
- *short trials*: a function that sleeps for 50 ms, 200 trials, one worker, from the first trial's
  start to the last one's end in the record, against a loop that calls the same function.

Each round runs both sides of both pairs, one after the other. The table shows medians.

usage: python -m tests.bench.process_start [--rounds 20] [--trials 200]
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TUNER = (sys.executable, "-m", "tuner.cli")
SECONDS = 0.05  # of a short trial

TRAIN = f"""\
import time

def train(trial):
    time.sleep({SECONDS})
    return trial.params["lr"]
"""
STUDY = """\
objective: train.py:train
minimize: val_loss
search_space: {{lr: {{float: [0.1, 0.2]}}}}
sampler: random
pruner: none
budget: {{trials: {trials}}}
"""
ALONE = """\
import sys, time, types
sys.path.insert(0, ".")
from train import train
start = time.perf_counter()
for _ in range(int(sys.argv[1])):
    train(types.SimpleNamespace(params={"lr": 0.1}))
print(time.perf_counter() - start)
"""


class Bench:
    """One home, a new study per run."""

    def __init__(self, folder: Path, trials: int) -> None:
        self._folder = folder
        self._trials = trials
        self._n_runs = 0
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CUDA_VISIBLE_DEVICES": "",
            "TUNER_HOME": str(folder / "home"),
        }
        self._settings: dict[str, Any] = {
            "env": environment,
            "cwd": folder,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.DEVNULL,
            "text": True,
        }
        (folder / "train.py").write_text(TRAIN)

    def import_torch(self) -> float:
        start = time.perf_counter()
        self._run([sys.executable, "-c", "import torch"])
        return time.perf_counter() - start

    def first_trial(self) -> float:
        """Seconds until a worker that is ready gets the first trial."""
        content = (ROOT / "studies" / "digits.yaml").read_text()
        study = self._folder / "digits.yaml"
        study.write_text(content.replace("name: digits", f"name: {self._new_name()}"))
        start = time.perf_counter()
        command = [*TUNER, "run", str(study), "--json"]
        with subprocess.Popen(command, **self._settings) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if json.loads(line)["event"] == "TrialStarted":
                    break
            else:
                raise AssertionError("the run gave out no trial")
            seconds = time.perf_counter() - start
            process.send_signal(signal.SIGINT)
            process.stdout.read()
        time.sleep(1)  # the keeper stops the server, so that the next run starts it
        return seconds

    def loop(self) -> float:
        """Seconds of the function's calls in one process."""
        return float(self._run([sys.executable, "-c", ALONE, str(self._trials)]))

    def short_trials(self) -> float:
        """Seconds of as many trials, from the first one's start to the last one's end."""
        name = self._new_name()
        study = self._folder / "study.yaml"
        study.write_text(f"name: {name}\n{STUDY.format(trials=self._trials)}")
        self._run([*TUNER, "run", str(study), "--workers", "1", "--json"])
        rows = json.loads(self._run([*TUNER, "trials", name, "--json"]))
        assert [row["state"] for row in rows] == ["COMPLETE"] * self._trials
        begins = [datetime.fromisoformat(row["started_at"]) for row in rows]
        ends = [datetime.fromisoformat(row["ended_at"]) for row in rows]
        return (max(ends) - min(begins)).total_seconds()

    def _new_name(self) -> str:
        self._n_runs += 1
        return f"start{self._n_runs}"

    def _run(self, command: list[str]) -> str:
        return str(subprocess.run(command, check=True, **self._settings).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=200)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tuner-bench-"))
    folder.chmod(0o711)
    try:
        bench = Bench(folder, options.trials)
        bench.first_trial()  # creates the home and prepares the data
        bench.import_torch()
        rounds = []
        for index in range(options.rounds):
            measured = (
                bench.import_torch(),
                bench.first_trial(),
                bench.loop(),
                bench.short_trials(),
            )
            rounds.append(measured)
            print(f"round {index}:", *(f"{seconds:.2f} s" for seconds in measured), flush=True)
        _table(rounds, options.trials)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _table(rounds: list[tuple[float, float, float, float]], trials: int) -> None:
    torch, first, loop, study = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(row[1] / row[0] for row in rounds)
    added = statistics.median((row[3] - row[2]) / trials for row in rounds)
    print(f"\nmedians of {len(rounds)} rounds")
    print(f'python -c "import torch" {torch:.2f} s; first trial {first:.2f} s; ratio {ratio:.2f}')
    calls = f"{trials} calls of {1000 * SECONDS:.0f} ms"
    print(f"{calls}: in a loop {loop:.2f} s, as trials {study:.2f} s")
    print(f"added per trial: {1000 * added:.1f} ms")


if __name__ == "__main__":
    main()
