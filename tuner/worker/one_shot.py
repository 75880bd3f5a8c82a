"""A child that answers one question: a JSON line in, a JSON line out, and its end."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

Answer = Mapping[str, Any]  # what was asked for, or {"error": one sentence}


def answer_once(answer: Callable[[Mapping[str, Any]], Answer]) -> NoReturn:
    """Read the request, write the answer, and leave: with 1 for an error."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what the user's code prints is not the answer
    given = answer(json.loads(sys.stdin.readline()))
    os.write(answers, json.dumps(given).encode() + b"\n")
    sys.stdout.flush()
    os._exit(1 if "error" in given else 0)  # threads that the user's code has started may hang
