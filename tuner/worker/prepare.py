"""`python -m tuner.worker prepare --kind K`: a child that prepares an objective on this machine.

It reads the request as one JSON line and writes the result or an error as another.
"""

import argparse
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tuner.worker.bad_code import BadCode
from tuner.worker.kinds.table import PREPARATIONS
from tuner.worker.one_shot import answer_once
from tuner.worker.streams import Streams


def main(arguments: list[str], streams: Streams) -> int:
    """Answer one request; return the exit code, 1 for an error."""
    parser = argparse.ArgumentParser(prog="python -m tuner.worker prepare")
    parser.add_argument("--kind", choices=PREPARATIONS, required=True)
    prepare = PREPARATIONS[parser.parse_args(arguments).kind]()

    def answer(request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return asdict(prepare(request))
        except BadCode as error:
            return {"error": str(error)}
        except Exception as error:  # raised by the user's code: the agent needs a sentence
            from tuner.worker.faults import in_words  # noqa: PLC0415 - loads torch

            return {"error": in_words(error)}

    # Threads that the user's module has started may never end.
    os._exit(answer_once(streams, answer))
