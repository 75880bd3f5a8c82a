"""The one-shot child that imports the user's function before a study is made: JSON in, JSON out.

What fails here would fail every trial.
"""

import json
import os
import sys

from tuner.worker.objectives.function import BadFunction, load_function
from tuner.worker.source_files import hash_sources


def main(arguments: list[str]) -> int:
    """Read `{"function": ..., "folder": ...}`; print a summary, or `{"error": ...}`."""
    assert not arguments, "inspect takes its request on standard input"
    answers = os.dup(1)
    os.dup2(2, 1)  # what the user's code prints is not the answer
    request = json.loads(sys.stdin.readline())
    try:
        load_function(request["function"], request["folder"])
        module_name = request["function"].rpartition(":")[0]
        answer = {
            "folder": "",
            "fingerprint": "",
            "summary": f"function {request['function']}",
            "code": hash_sources(module_name, request["folder"]),
        }
    except BadFunction as error:
        answer = {"error": str(error)}
    os.write(answers, json.dumps(answer).encode() + b"\n")
    sys.stdout.flush()
    os._exit(1 if "error" in answer else 0)  # threads that the user's module has started may hang
