"""The one-shot child that prepares a data set: a JSON line in, a JSON line out.

Where the model or the loss is the user's, it imports them first: what fails here would fail every
trial.
"""

import os
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tuner.training.data.preparing import prepare
from tuner.worker.bad_code import BadCode
from tuner.worker.one_shot import answer_once
from tuner.worker.streams import Streams


def main(arguments: list[str], streams: Streams) -> int:
    """Read `{"data": ..., "folder": parent, "own": ...}`; print what was prepared, or an error.

    "own" is optional: `{"folder": the study file's, "model": ..., "loss": ..., "params": the fixed
    ones, "searched": names}`; model or loss are None where they are not the user's.
    """
    assert not arguments, "prepare takes its request on standard input"
    code = answer_once(streams, _answer)
    if "tuner.worker.own_code" in sys.modules:
        os._exit(code)  # threads that the user's module has started may hang
    return code


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return _prepared(request)
    except BadCode as error:
        return {"error": str(error)}
    except Exception as error:  # whatever it is, the agent needs one sentence
        return {"error": f"cannot prepare the data: {_sentence(error)}"}


def _prepared(request: Mapping[str, Any]) -> dict[str, Any]:
    code = {"tuner": metadata.version("tuner")}
    own, summary = request.get("own"), ""
    if own is not None:
        from tuner.worker.own_code import look_at  # noqa: PLC0415 - loads torch

        code |= look_at(own)
        named = ((kind, own[kind]) for kind in ("model", "loss") if own[kind])
        summary = "".join(f"; {kind} {name}" for kind, name in named)
    prepared = prepare(request["data"], Path(request["folder"]))
    return {
        "folder": str(prepared.folder),
        "fingerprint": prepared.fingerprint,
        "summary": prepared.summary + summary,
        "task": prepared.task,
        "code": code,
    }


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
