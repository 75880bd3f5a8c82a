"""The one-shot child that prepares a data set: a JSON line in, a JSON line out."""

import json
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tuner.training.prepare import prepare


def main(arguments: list[str]) -> int:
    """Read `{"data": ..., "folder": parent}`; print what was prepared, or `{"error": ...}`."""
    assert not arguments, "prepare takes its request on standard input"
    try:
        answer = _answer(json.loads(sys.stdin.readline()))
    except Exception as error:  # whatever it is, the agent needs one sentence
        answer = {"error": f"cannot prepare the data: {_sentence(error)}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    return 1 if "error" in answer else 0


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    prepared = prepare(request["data"], Path(request["folder"]))
    return {
        "folder": str(prepared.folder),
        "fingerprint": prepared.fingerprint,
        "summary": prepared.summary,
        "task": prepared.task,
        "code": {"tuner": metadata.version("tuner")},
    }


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
