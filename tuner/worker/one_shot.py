"""A child that answers one request: a JSON line in, a JSON line out."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tuner.worker.streams import Streams

Answer = Mapping[str, Any]  # the result, or {"error": one sentence}


def answer_once(streams: Streams, answer: Callable[[Mapping[str, Any]], Answer]) -> int:
    """Read the request and write the answer; return the exit code, 1 for an error."""
    with os.fdopen(streams.read_fd) as requests, os.fdopen(streams.write_fd, "w") as answers:
        given = answer(json.loads(requests.readline()))
        sys.stdout.flush()  # output of the user's code; the process may leave at once
        answers.write(json.dumps(given) + "\n")
    return 1 if "error" in given else 0
