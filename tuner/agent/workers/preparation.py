"""The one-shot child that prepares what all trials of a study need, before it is made or joined."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import RunFailed
from tuner.study.code import Code
from tuner.study.secrets import clean_environment
from tuner.study_file.model import FunctionObjective, StudySpec, TrainerObjective


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """Arrays on this machine's disk; of a function, only that it can be imported."""

    folder: str
    fingerprint: str
    code: Code
    summary: str  # "digits: 1797 rows, ...", "function train.py:train"


def _own_code(
    spec: StudySpec, objective: TrainerObjective, folder: Path
) -> dict[str, object] | None:
    """What the child has to look at beside the data; None where nothing is the user's."""
    if not objective.has_own_model and objective.loss is None:
        return None
    return {
        "folder": str(folder),
        "model": objective.model if objective.has_own_model else None,
        "loss": objective.loss,
        "params": dict(spec.params),
        "searched": list(spec.search_space),
    }


@contextmanager
def start_preparation(
    spec: StudySpec, folder: Path, data_folder: Path
) -> Iterator["subprocess.Popen[str]"]:
    """The one-shot child that puts this machine's data on its disk, once for all trials.

    Of a function, the child that imports it: what fails there would fail every trial.
    """
    match spec.objective:
        case TrainerObjective():
            command = "prepare"
            request = {
                "data": spec.objective.data.model_dump(mode="json"),
                "folder": str(data_folder),
                "own": _own_code(spec, spec.objective, folder),
            }
        case FunctionObjective():
            command = "inspect"
            request = {"function": spec.objective.function, "folder": str(folder)}
    child = subprocess.Popen(
        # -P: the working directory's modules must not stand in for the standard library's.
        [sys.executable, "-P", "-m", "tuner.worker", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(dict(os.environ)),
        start_new_session=True,  # Ctrl-C is ours to judge
    )
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(request) + "\n")
        child.stdin.flush()
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        assert child.stdout is not None
        child.stdout.close()


def finish_preparation(child: "subprocess.Popen[str]") -> PreparedData:
    """Wait for the child; raises `RunFailed` with its sentence."""
    output, _ = child.communicate()
    try:
        answer = json.loads(output)
    except ValueError:
        raise RunFailed(f"preparing the objective failed (exit code {child.returncode})") from None
    if "error" in answer:
        raise RunFailed(f"preparing the objective failed: {answer['error']}")
    return PreparedData(
        folder=answer["folder"],
        fingerprint=answer["fingerprint"],
        code=answer["code"],
        summary=answer["summary"],
    )
