"""The `tuner` command as a user starts it, and study files small enough for a test."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from tuner.cli.main import main

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "studies"
# For workers of functions that need no torch: its import takes two seconds of a core.
LIGHT = {"PYTHONPATH": f"{ROOT / 'tests' / 'faults' / 'light'}{os.pathsep}{ROOT}"}
SECONDS = 150  # a command that takes longer hangs, also on a busy machine


def find_command() -> list[str]:
    """The installed script, else the module."""
    script = Path(sys.executable).with_name("tuner")
    return [str(script)] if script.exists() else [sys.executable, "-m", "tuner.cli"]


def build_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Ours without what would steer a command, with what a test sets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TUNER_", "PG", "PYTEST_"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", **given}


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, which must be one JSON document."""
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class Tuner:
    """Runs `tuner` with an environment of its own; no command may show a traceback."""

    environment: Mapping[str, str]
    running: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __call__(self, *arguments: object, code: int | None = 0, **environment: str) -> Finished:
        """Run to the end; `code` is the exit code it must have (None: any)."""
        finished = self.finish(self.start(*arguments, **environment))
        if code is not None:
            assert finished.code == code, finished
        return finished

    def look(self, *arguments: object, code: int | None = 0, **environment: str) -> Finished:
        """Run in this process a command that ends at once: a start takes most of a second."""
        streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
        with (
            mock.patch.dict(
                os.environ, build_environment({**self.environment, **environment}), clear=True
            ),
            redirect_stdout(streams[0]),
            redirect_stderr(streams[1]),
        ):
            try:
                found = main([str(argument) for argument in arguments])
            except SystemExit as ended:  # of the parser
                found = int(ended.code or 0)
        texts = []
        for stream in streams:
            stream.seek(0)
            texts.append(stream.read())
        finished = Finished(code=found, out=texts[0], err=texts[1])
        assert code in (None, found), finished
        assert "Traceback" not in texts[0] + texts[1], finished
        return finished

    def start(self, *arguments: object, **environment: str) -> "subprocess.Popen[str]":
        """Start a command as a shell does: in a process group of its own, nothing to read."""
        process = subprocess.Popen(
            [*find_command(), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            env=build_environment({**self.environment, **environment}),
            process_group=0,
        )
        self.running.append(process)
        return process

    def finish(self, process: "subprocess.Popen[str]") -> Finished:
        """Wait for its end."""
        out, err = process.communicate(timeout=SECONDS)
        assert "Traceback" not in out + err, out + err
        return Finished(code=process.returncode, out=out, err=err)

    def stop(self, process: "subprocess.Popen[str]", number: signal.Signals) -> Finished:
        """Send a signal to the whole group, as a terminal does, and wait."""
        os.killpg(process.pid, number)
        return self.finish(process)

    def close(self) -> None:
        """End what a failed test has left running."""
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def smoke(study: str, folder: Path, trials: int = 4, epochs: int = 3) -> Path:
    """A copy of an example study with a small budget."""
    text = (STUDIES / f"{study}.yaml").read_text()
    text, n_budgets = re.subn(r"\{trials: \d+", f"{{trials: {trials}", text)
    text, n_lengths = re.subn(r"\bepochs: \d+", f"epochs: {epochs}", text)
    assert (n_budgets, n_lengths) == (1, 1)
    path = folder / f"{study}.yaml"
    path.write_text(text)
    return path


def write_study(folder: Path, **changes: str) -> Path:
    """A short random search named "plain"; `changes` replace whole sections."""
    sections = {
        "name": "plain",
        "objective": "{data: {sklearn: digits}, model: mlp}",
        "minimize": "val_loss",
        "params": "{epochs: 3}",
        "search_space": "{learning_rate: {float: [1e-3, 1e-1], log: true}}",
        "sampler": "random",
        "pruner": "none",
        "budget": "{trials: 2}",
    }
    path = folder / "plain.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in (sections | changes).items()))
    return path


TRAIN = """\
import time

def train(trial):
    state = trial.checkpoint.load() or {"step": 0}
    for step in range(state["step"] + 1, trial.params["epochs"] + 1):
        time.sleep(SECONDS)
        trial.report(step=step, val_loss=trial.params["learning_rate"] / step)
        trial.checkpoint.save({"step": step})
"""


def write_light_study(folder: Path, *, seconds: float = 0.0, **changes: str) -> Path:
    """The same study with a function as its objective, which needs no torch: run it with LIGHT.

    `seconds` is how long a step takes.
    """
    (folder / "train.py").write_text(TRAIN.replace("SECONDS", str(seconds)))
    return write_study(folder, objective="train.py:train", **changes)


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Look again and again."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
