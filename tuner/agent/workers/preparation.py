"""The one-shot child that prepares the data of a study before it is created or joined."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuner.agent.workers.one_shot import finish_child, start_child
from tuner.errors import RunFailed
from tuner.study.code import Code
from tuner.study_file.model import StudySpec


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """Arrays on this machine's disk; for a function, only the fact that it can be imported."""

    folder: str
    fingerprint: str
    code: Code
    summary: str  # "digits: 1797 rows, ...", "function train.py:train"
    n_rows: int | None  # of the data; None without data
    metrics: Mapping[str, str] | None  # that a study may optimize, with their direction; None: any


@contextmanager
def start_preparation(
    spec: StudySpec, folder: Path, data_folder: Path
) -> Iterator["subprocess.Popen[str]"]:
    """Start the one-shot child that puts this machine's data on its disk, once for all trials.

    For a function it only imports the code: a failure there would fail every trial.
    """
    request = spec.objective.preparation(spec.params, spec.search_space, folder)
    command = ("prepare", "--kind", spec.objective.kind)
    with start_child(command, {**request, "data_folder": str(data_folder)}) as child:
        yield child


def finish_preparation(child: "subprocess.Popen[str]") -> PreparedData:
    """Wait for the child; raises `RunFailed` with its sentence."""
    answer = finish_child(child, "preparing the objective failed")
    return PreparedData(
        folder=answer["folder"],
        fingerprint=answer["fingerprint"],
        code=answer["code"],
        summary=answer["summary"],
        n_rows=answer["n_rows"],
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
