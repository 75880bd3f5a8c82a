"""`python -m tuner.worker look`: a child that looks at a data set and changes nothing.

It reads the request as one JSON line and writes another one: the facts, with the faults of the data
among them, or an unexpected error.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tuner.training.data.content import Hashes
from tuner.training.data.look import look_at
from tuner.training.data.preparing import HASHES_FILE, request_of
from tuner.training.data.source import BadData, in_words
from tuner.training.data.sources import Machine, open_source
from tuner.worker.bad_code import BadCode
from tuner.worker.one_shot import answer_once
from tuner.worker.streams import Streams


def main(arguments: list[str], streams: Streams) -> int:
    """Answer one request; return the exit code, 1 for an error."""
    return answer_once(streams, answer)


def answer(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the facts of `{"data": request, "data_folder": parent, "verify": bool}`."""
    request = request_of(given["data"])
    try:
        file = Path(given["data_folder"]) / HASHES_FILE
        hashes = Hashes(file, is_verified=given["verify"])
        source = open_source(request, Machine(hashes=hashes, load_code=_load_code))
        if given["verify"]:
            source.content()
        return asdict(look_at(source, request))
    except (BadData, BadCode) as error:
        return {"summary": "", "columns": [], "faults": [str(error)], "warnings": [], "task": ""}
    except Exception as error:  # a package's own error: people need a sentence
        return {"error": in_words(error)}


def _load_code(name: str, folder: str) -> Callable[[], Any]:
    from tuner.worker.kinds.trainer.models import load_data  # noqa: PLC0415 - loads torch

    return load_data(name, folder)
