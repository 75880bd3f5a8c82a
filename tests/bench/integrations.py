"""What tuner adds to Lightning, the trainer of Hugging Face and CartPole, against the script alone.

The script alone is the example of `studies/` without the lines of tuner, called in a loop in one
process. As a study, one worker trains the same trials on an embedded Postgres, each in a process of
its own. The function writes down how long its parts take there:

- *import*: the modules of the script, once for each process, so once for each trial.
- *epoch*: from one report to the next, with the report, the callback and its checkpoints.
- *rest*: from the trial's start to its end in the record, without import and training: the process,
  the claim and the end.

Medians of all trials.

usage: python tests/bench/integrations.py [--trials 5] [--epochs 20] [--every 30s]
                                          [--examples lightning hugging-face reinforcement]
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.bench.function_overhead import ROOT, create_database
from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server, open_server

ALONE = """\
import json, sys, time
from types import SimpleNamespace
import torch
from alone import train
torch.set_num_threads(1)
params, n_trials = json.loads(sys.argv[1]), int(sys.argv[2])
quiet = SimpleNamespace(load=lambda: None, save=lambda state: None)

def run(number, epochs):
    start = time.perf_counter()
    torch.manual_seed(number)
    train(SimpleNamespace(
        params=params | {"epochs": epochs},
        seed=number,
        device="cpu",
        checkpoint=quiet,
        report=lambda **values: None,
    ))
    return time.perf_counter() - start

run(0, 1)  # loads what is loaded late
pairs = [(run(number, 1), run(number, params["epochs"])) for number in range(n_trials)]
print(json.dumps(pairs), file=sys.stderr)
"""
TIMED = """\
import json
import time
from pathlib import Path

begun = time.perf_counter()
import train as example

imported = time.perf_counter()

def train(trial):
    report, times = trial.report, []

    def report_timed(**values):
        times.append(time.perf_counter())
        report(**values)

    trial.report = report_timed
    start = time.perf_counter()
    example.train(trial)
    end = time.perf_counter()
    epoch = (times[-1] - times[0]) / (len(times) - 1)
    parts = {"import": imported - begun, "training": end - start, "epoch": epoch}
    with Path(__file__).with_name("parts.jsonl").open("a") as file:
        file.write(json.dumps(parts) + "\\n")
"""
STUDY = """\
name: {name}
objective: timed.py:train
{goal}
params: {params}
search_space: {{unused: {{float: [0, 1]}}}}
sampler: random
pruner: none
budget: {{trials: {trials}}}
checkpoints: {{every: {every}, folders: trusted}}
"""
# The lines of tuner in the examples, and what a script has in their place.
WITHOUT = [
    (r".*# [12]\n", ""),
    (r".*callbacks=\[callback\].*\n", ""),
    (r"\*\*callback\.options.*", 'accelerator="cpu", enable_checkpointing=False,'),
    (
        r"\*\*callback\.arguments.*",
        "output_dir='out', use_cpu=True, eval_strategy='epoch', save_strategy='no',"
        " report_to='none',",
    ),
    (r", ckpt_path=callback\.ckpt_path", ""),
    (r"resume_from_checkpoint=callback\.checkpoint", ""),
]


@dataclass(frozen=True, kw_only=True)
class Example:
    goal: str
    params: dict[str, float]


EXAMPLES = {
    "lightning": Example(
        goal="minimize: val_loss", params={"learning_rate": 0.003, "width": 64, "dropout": 0.2}
    ),
    "hugging-face": Example(
        goal="minimize: eval_loss", params={"learning_rate": 0.002, "n_layers": 1, "dropout": 0.1}
    ),
    "reinforcement": Example(
        goal="maximize: mean_return",
        params={
            "episodes": 16,
            "learning_rate": 0.001,
            "discount": 0.99,
            "width": 16,
            "entropy_bonus": 0,
        },
    ),
}


class Bench:
    """One folder and one server, with a database for each example."""

    def __init__(self, folder: Path, server: Server, options: argparse.Namespace) -> None:
        self._folder, self._server, self._options = folder, server, options

    def measure(self, name: str) -> None:
        """Run one example in both ways, and print a line for each number."""
        folder = self._folder / name
        folder.mkdir()
        text = (ROOT / "studies" / name / "train.py").read_text()
        (folder / "train.py").write_text(text)
        (folder / "timed.py").write_text(TIMED)
        for pattern, script in WITHOUT:
            text = re.sub(pattern, script, text)
        assert "callback." not in text, text
        (folder / "alone.py").write_text(text)
        params = json.dumps({**EXAMPLES[name].params, "epochs": self._options.epochs})
        alone = self._alone(folder, params)
        parts = self._study(folder, name, params)
        epoch = statistics.median(long - short for short, long in alone)
        epoch /= self._options.epochs - 1
        self._print(name, "an epoch alone", epoch)
        self._print(name, "an epoch with tuner", parts["epoch"])
        self._print(name, "added to an epoch", parts["epoch"] - epoch)
        self._print(name, "a trial alone", statistics.median(long for _, long in alone))
        self._print(name, "added to a trial: import", parts["import"])
        self._print(name, "added to a trial: rest", parts["rest"])

    def _print(self, name: str, what: str, seconds: float) -> None:
        print(f"{name:14} {what:26} {seconds * 1000:10.1f} ms", flush=True)

    def _alone(self, folder: Path, params: str) -> list[tuple[float, float]]:
        command = [sys.executable, "-c", ALONE, params, str(self._options.trials)]
        pairs = json.loads(self._run(folder, command, {}).stderr.splitlines()[-1])
        return [(short, long) for short, long in pairs]

    def _study(self, folder: Path, name: str, params: str) -> dict[str, float]:
        n_trials, database = self._options.trials, name.replace("-", "_")
        study = STUDY.format(
            name=name,
            goal=EXAMPLES[name].goal,
            params=params,
            trials=n_trials,
            every=self._options.every,
        )
        (folder / "study.yaml").write_text(study)
        url = {"TUNER_STORAGE": create_database(self._server, database)}
        command = [sys.executable, "-m", "tuner.cli"]
        self._run(folder, [*command, "run", "study.yaml", "--workers", "1", "--json"], url)
        rows = json.loads(self._run(folder, [*command, "trials", name, "--json"], url).stdout)
        states = {row["state"] for row in rows}
        assert (len(rows), states) == (n_trials, {"COMPLETE"}), rows
        lines = (folder / "parts.jsonl").read_text().splitlines()
        parts = [json.loads(line) for line in lines]
        rests = [
            _seconds(row) - part["import"] - part["training"]
            for row, part in zip(sorted(rows, key=lambda row: row["number"]), parts, strict=True)
        ]
        medians = {key: statistics.median(part[key] for part in parts) for key in parts[0]}
        return {**medians, "rest": statistics.median(rests)}

    def _run(
        self, folder: Path, command: list[str], more: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "TUNER_HOME": str(self._folder),
            **more,
        }
        return subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=True
        )


def _seconds(row: dict[str, str]) -> float:
    begin, end = (datetime.fromisoformat(row[key]) for key in ("started_at", "ended_at"))
    return (end - begin).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--every", default="30s", help="interval of the checkpoints")
    parser.add_argument("--examples", nargs="+", default=list(EXAMPLES), choices=list(EXAMPLES))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tuner-bench-"))
    folder.chmod(0o711)
    server = open_server(Home(path=folder))
    try:
        for name in options.examples:
            Bench(folder, server, options).measure(name)
    finally:
        server.close()
        time.sleep(1)  # the keeper stops the server
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
