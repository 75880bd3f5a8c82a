"""The one-shot child that imports the user's function before a study is made: JSON in, JSON out.

What fails here would fail every trial.
"""

import os
from collections.abc import Mapping
from typing import Any

from tuner.worker.bad_code import BadCode
from tuner.worker.objectives.function import load_function
from tuner.worker.one_shot import answer_once
from tuner.worker.source_files import hash_sources
from tuner.worker.streams import Streams


def main(arguments: list[str], streams: Streams) -> int:
    """Read `{"function": ..., "folder": ...}`; print a summary, or `{"error": ...}`."""
    assert not arguments, "inspect takes its request on standard input"
    os._exit(answer_once(streams, _answer))  # threads that the user's module has started may hang


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    name, folder = request["function"], request["folder"]
    try:
        load_function(name, folder)
    except BadCode as error:
        return {"error": str(error)}
    return {
        "folder": "",
        "fingerprint": "",
        "summary": f"function {name}",
        "code": hash_sources(name.rpartition(":")[0], folder),
    }
