"""A worker as a real process, driven over its pipes as an agent does."""

import os
import queue
import signal
import threading
from pathlib import Path
from typing import Any

from tuner.agent.workers.template import ForkedProcess, Template
from tuner.messages import END_WORKER, FromWorker, Left, Setup, Start, ToWorker, decode, encode
from tuner.study.goal import Goal
from tuner.study.trial import Direction

PATIENCE_SECONDS = 60


_IN_KEY = ("PYTHONPATH", "PGPASSWORD", "TUNER_ANYTHING")
_templates: dict[tuple[str | None, ...], Template] = {}


def template_of(kind: str) -> Template:
    """The template of all workers of this kind in this environment; it ends with the tests."""
    key = (kind, *map(os.environ.get, _IN_KEY))
    if key not in _templates:
        _templates[key] = Template(kind, n_threads=1)
    return _templates[key]


class WorkerProcess:
    """One worker, and what it has said."""

    def __init__(self, log: Path, kind: str = "trainer", template: Template | None = None) -> None:
        read_fd, self._to_worker = os.pipe()
        self._from_worker, write_fd = os.pipe()
        self.log = log
        template = template or template_of(kind)
        with log.open("wb") as file:
            self.process: ForkedProcess = template.fork((read_fd, write_fd, file.fileno()))
        os.close(read_fd)
        os.close(write_fd)
        self.heard: queue.SimpleQueue[FromWorker] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        with os.fdopen(self._from_worker, "rb") as stream:
            for line in stream:
                self.heard.put(decode(line))

    def say(self, *messages: ToWorker) -> None:
        self.say_bytes(b"".join(encode(message) for message in messages))

    def say_bytes(self, content: bytes) -> None:
        while content:
            content = content[os.write(self._to_worker, content) :]

    def hear(self, kind: type[Any], **fields: object) -> Any:
        """The next message of this type (with these fields), skipping others."""
        while True:
            message = self.heard.get(timeout=PATIENCE_SECONDS)
            if isinstance(message, kind) and all(
                getattr(message, name) == value for name, value in fields.items()
            ):
                return message

    def all_until_left(self) -> list[FromWorker]:
        messages = [self.heard.get(timeout=PATIENCE_SECONDS)]
        while not isinstance(messages[-1], Left):
            messages.append(self.heard.get(timeout=PATIENCE_SECONDS))
        return messages

    def hang_up(self) -> None:
        if self._to_worker >= 0:
            os.close(self._to_worker)
            self._to_worker = -1

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int | None:
        """Its exit code; None if it does not end."""
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        self.hang_up()
        self.process.send_signal(END_WORKER)
        self.wait()
        self.process.close()
        self._listener.join()


def setup_of_function(folder: Path, function: str = "train.py:train", **changes: Any) -> Setup:
    """The setup of a worker for a function in this folder."""
    fields: dict[str, Any] = {
        "device": "cpu",
        "n_threads": 1,
        "objective": {"function": function},
        "fixed": {"epochs": 6},
        "data_folder": "",
        "data_seed": 3,
        "goal": Goal(metric="val_loss", direction=Direction.MINIMIZE),
        "spool": str(folder.parent / "spool"),
        "save_every_seconds": 30.0,
        "folder": str(folder),
        "trials_folder": str(folder.parent / "trials"),
    }
    return Setup(**{**fields, **changes})


def start_of_trial(**changes: Any) -> Start:
    """A trial's start."""
    fields: dict[str, Any] = {
        "number": 4,
        "attempt": 1,
        "params": {"lr": 0.25},
        "seed": 77,
        "checkpoint": None,
        "decide_at": (),
    }
    return Start(**{**fields, **changes})
