"""What large checkpoints cost training: a function with a state of a given size, with and without.

Every round runs the same trial without a checkpoint and with each way to keep one: values in a
`file:` store, a folder in a `file:` store, and values in Postgres. The trial itself measures its
steps and its calls of `save`. So the table separates the two costs: the wait in `save`, for which
training stands still, and slower steps while the agent stores the file. The ratio is that of the
whole trial to the one without checkpoints in the same round.

usage: python tests/bench/checkpoints.py [--rounds 3] [--mb 1024] [--postgres-mb 1024] [--steps 120]
                                         [--step-ms 250] [--every 10s]
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
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url

from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server, open_server

ROOT = Path(__file__).resolve().parents[2]

TRAIN = """\
import time
import torch

def train(trial):
    torch.set_num_threads(1)
    mb, way = trial.params["mb"], trial.params["way"]
    weights = torch.rand(mb << 18)  # float32
    a = torch.rand(256, 256)
    saves, steps = [], []
    folder = trial.checkpoint.folder() if way == "folder" else None
    for step in range(1, trial.params["epochs"] + 1):
        start = time.perf_counter()
        for _ in range(trial.params["work"]):
            a = torch.nn.functional.normalize(a @ a)
        middle = time.perf_counter()
        trial.report(step=step, val_loss=1.0 / step)
        if way == "folder":
            trial.checkpoint.save(lambda: write(folder, weights))
        elif way == "values":
            trial.checkpoint.save({"weights": weights, "step": step})
        steps.append(middle - start)
        saves.append(time.perf_counter() - middle)
    trial.set_user_attr("steps", sum(steps))
    trial.set_user_attr("saves", sum(saves))
    trial.set_user_attr("n_saves", sum(s > 0.05 for s in saves))

def write(folder, weights):
    weights.numpy().tofile(folder / "weights.bin")
    return folder
"""

STUDY = """\
name: {name}
objective: train.py:train
minimize: val_loss
params: {{epochs: {steps}, work: {work}, mb: {mb}, way: {way}}}
search_space: {{lr: {{float: [0.1, 0.2]}}}}
sampler: random
pruner: none
budget: {{trials: 1}}
checkpoints: {{every: {every}, store: "{store}", folders: trusted}}
"""

WORK = """\
import sys, time
import torch
torch.set_num_threads(1)
a = torch.rand(256, 256)
for n in (200, 2000):
    start = time.perf_counter()
    for _ in range(n):
        a = torch.nn.functional.normalize(a @ a)
print((time.perf_counter() - start) / n)
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to keep checkpoints."""

    name: str
    way: str  # of the trial: none, values, folder
    store: str
    mb: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One trial."""

    steps: float  # seconds in all of its steps
    saves: float  # seconds in all of its reports and saves
    n_saves: int
    n_stored: int  # checkpoints that became rows

    @property
    def seconds(self) -> float:
        return self.steps + self.saves


class Bench:
    """One folder, one server, a database per run."""

    def __init__(self, folder: Path, server: Server, options: argparse.Namespace) -> None:
        self._folder = folder
        self._server = server
        self._options = options
        self._n_runs = 0
        (folder / "train.py").write_text(TRAIN)
        seconds = float(self._run([sys.executable, "-c", WORK], {}))
        self._work = max(1, round(options.step_ms / 1000 / seconds))

    def measure(self, way: Way) -> Measured:
        self._n_runs += 1
        name = f"checkpoints{self._n_runs}"
        study = self._folder / f"{name}.yaml"
        text = STUDY.format(
            name=name,
            steps=self._options.steps,
            work=self._work,
            mb=way.mb,
            way=way.way,
            every=self._options.every,
            store=way.store,
        )
        study.write_text(text)
        url = self._create(name)
        command = [sys.executable, "-m", "tuner.cli", "run", str(study), "--workers", "1"]
        self._run(command, {"TUNER_STORAGE": url})
        facts = {key: json.loads(value) for key, value in self._rows(name, _FACTS)}
        ((n_stored,),) = self._rows(name, _N_STORED)
        self._admin(f"drop database {name} with (force)")
        return Measured(
            steps=facts["steps"],
            saves=facts["saves"],
            n_saves=facts["n_saves"],
            n_stored=int(n_stored) if way.way != "none" else 0,
        )

    def _create(self, name: str) -> str:
        self._admin(f"create database {name}")
        return make_url(self._server.url).set(database=name).render_as_string()

    def _admin(self, statement: str) -> None:
        socket = str(self._server.socket_folder)
        admin = psycopg2.connect(host=socket, user="tuner", dbname="postgres")
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(statement)
        admin.close()

    def _rows(self, name: str, query: str) -> list[tuple[str, ...]]:
        socket = str(self._server.socket_folder)
        connection = psycopg2.connect(host=socket, user="tuner", dbname=name)
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            rows = cursor.fetchall()
        connection.close()
        return rows

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
            capture_output=True,
            text=True,
            check=True,
        ).stdout


_N_STORED = "select last_value from tuner.checkpoint_checkpoint_id_seq"
_FACTS = "select key, value_json from trial_user_attributes"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mb", type=int, default=1024, help="of a state")
    parser.add_argument("--postgres-mb", type=int, default=1000, help="of a state in Postgres")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--step-ms", type=float, default=250.0, help="work of a step, about")
    parser.add_argument("--every", default="10s", help="interval between two checkpoints")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tuner-bench-"))
    folder.chmod(0o711)
    server = open_server(Home(path=folder))
    try:
        run_rounds(options, Bench(folder, server, options))
    finally:
        server.close()
        time.sleep(1)  # the keeper stops the server
        shutil.rmtree(folder, ignore_errors=True)


def run_rounds(options: argparse.Namespace, bench: Bench) -> None:
    """All ways, round after round, then the table."""
    ways = [
        Way(name="none", way="none", store="postgres", mb=options.mb),
        Way(name="values, file:", way="values", store="file:ck", mb=options.mb),
        Way(name="folder, file:", way="folder", store="file:ck", mb=options.mb),
        Way(name="values, postgres", way="values", store="postgres", mb=options.postgres_mb),
    ]
    found: dict[str, list[Measured]] = {}
    for index in range(options.rounds):
        for way in ways:
            measured = bench.measure(way)
            found.setdefault(way.name, []).append(measured)
            print(f"round {index} {way.name}: {measured}", flush=True)
    print(f"\nmedians of {options.rounds} rounds, a checkpoint every {options.every}")
    heads = ("MB", "trial s", "ratio", "steps", "saves", "s/save", "stored")
    print(f"{'':20}" + "".join(f"{head:>9}" for head in heads))
    for way in ways:
        _row(way, list(zip(found[way.name], found["none"], strict=True)))


def _row(way: Way, pairs: list[tuple[Measured, Measured]]) -> None:
    n_saves = statistics.median(one.n_saves for one, _ in pairs)
    saving = statistics.median(one.saves for one, _ in pairs)
    seconds = statistics.median(one.seconds for one, _ in pairs)
    ratio = statistics.median(one.seconds / none.seconds for one, none in pairs)
    steps = statistics.median(one.steps / none.steps for one, none in pairs)
    n_stored = statistics.median(one.n_stored for one, _ in pairs)
    print(
        f"{way.name:20}{way.mb:9}{seconds:9.2f}{ratio:8.3f}x{steps:8.3f}x"
        f"{n_saves:9.0f}{saving / max(1, n_saves):9.2f}{n_stored:9.0f}"
    )


if __name__ == "__main__":
    main()
