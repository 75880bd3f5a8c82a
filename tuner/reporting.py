"""`tuner.report`: one line in a script that `objective: {command: ...}` runs.

It loads nothing of tuner: a script pays a few milliseconds for its import.
"""

import json
import os
from contextlib import suppress

_REPORTS = "TUNER_REPORTS"  # the file that a worker reads


def report(*, step: int | None = None, **metrics: float) -> None:
    """Report the metrics of a step (from 1, growing; None: the one after the last).

    Do nothing when the script runs alone, and on all ranks but the first of a distributed training.
    Raises `TypeError` for a metric that is not a number.
    """
    path = os.environ.get(_REPORTS)
    if not path or os.environ.get("RANK", "0") != "0":
        return
    record = {name: _number(name, value) for name, value in metrics.items()}
    line = json.dumps(record if step is None else {"step": int(step), **record}) + "\n"
    with suppress(OSError):  # a full disk must not end the training
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)


def _number(name: str, value: object) -> float:
    """Convert a number, a tensor or an array with one element."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        kind = type(value).__name__
        raise TypeError(f"{name} is a {kind}, not a number; report {name}=float(...)") from error
