"""The one-shot child that prepares what all trials of a study need, before it is made or joined."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import RunFailed
from tuner.study.code import Code
from tuner.study.secrets import clean_environment
from tuner.study_file.model import StudySpec


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """Arrays on this machine's disk; of a function, only that it can be imported."""

    folder: str
    fingerprint: str
    code: Code
    summary: str  # "digits: 1797 rows, ...", "function train.py:train"
    metrics: Mapping[str, str] | None  # that a study may optimize, with their direction; None: any


@contextmanager
def start_preparation(
    spec: StudySpec, folder: Path, data_folder: Path
) -> Iterator["subprocess.Popen[str]"]:
    """The one-shot child that puts this machine's data on its disk, once for all trials.

    Of a function, the child that imports it: what fails there would fail every trial.
    """
    request = spec.objective.preparation(spec.params, spec.search_space, folder)
    child = subprocess.Popen(
        # -P: the working directory's modules must not stand in for the standard library's.
        [sys.executable, "-P", "-m", "tuner.worker", "prepare", "--kind", spec.objective.kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(dict(os.environ)),
        start_new_session=True,  # Ctrl-C is ours to judge
    )
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps({**request, "data_folder": str(data_folder)}) + "\n")
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
        metrics=answer["metrics"],
    )


def check_goal(spec: StudySpec, data: PreparedData) -> None:
    """Raise `RunFailed` for a goal that the prepared objective does not report.

    The task, and with it the metrics, may be known only after the preparation.
    """
    if data.metrics is None or data.metrics.get(spec.metric) == spec.direction:
        return
    known = ", ".join(f"{direction}: {name}" for name, direction in data.metrics.items())
    raise RunFailed(
        f"the goal {spec.direction}: {spec.metric} does not fit the data ({data.summary}); "
        f"choose one of {known}"
    )
