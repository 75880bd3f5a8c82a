"""One-shot children: a JSON line in, a JSON line out. They run the user's code, or load packages
that the agent does without."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tuner.errors import RunFailed
from tuner.study.secrets import clean_environment


@contextmanager
def start_child(
    command: Sequence[str], request: Mapping[str, Any]
) -> Iterator["subprocess.Popen[str]"]:
    """Start `python -m tuner.worker COMMAND` with a request; it is killed at the end."""
    child = subprocess.Popen(
        # -P: the working directory's modules must not stand in for the standard library's.
        [sys.executable, "-P", "-m", "tuner.worker", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(dict(os.environ)),
        start_new_session=True,  # Ctrl-C is ours to judge
    )
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(request) + "\n")
        child.stdin.flush()
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        assert child.stdout is not None
        child.stdout.close()


def finish_child(child: "subprocess.Popen[str]", what_failed: str) -> dict[str, Any]:
    """Wait for the answer; raises `RunFailed` with the child's sentence."""
    output, _ = child.communicate()
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise RunFailed(f"{what_failed} (exit code {child.returncode})") from None
    if "error" in answer:
        raise RunFailed(f"{what_failed}: {answer['error']}")
    return answer
