"""A child that answers one question: a JSON line in, a JSON line out."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

Answer = Mapping[str, Any]  # what was asked for, or {"error": one sentence}


def answer_once(answer: Callable[[Mapping[str, Any]], Answer]) -> int:
    """Read the request and write the answer; the exit code, 1 for an error.

    What is printed meanwhile, by the user's code for instance, goes to standard error.
    """
    request = json.loads(sys.stdin.readline())
    answers = os.dup(1)
    os.dup2(2, 1)
    given = answer(request)
    sys.stdout.flush()
    os.dup2(answers, 1)
    os.close(answers)
    sys.stdout.write(json.dumps(given) + "\n")
    sys.stdout.flush()
    return 1 if "error" in given else 0
