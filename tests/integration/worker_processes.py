"""A worker as a real process, driven over its pipes as an agent does."""

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tuner.messages import FromWorker, Left, ToWorker, decode, encode

PATIENCE_SECONDS = 60


class WorkerProcess:
    """One worker, and what it has said."""

    def __init__(self, log: Path, kind: str = "trainer") -> None:
        read_fd, self._to_worker = os.pipe()
        self._from_worker, write_fd = os.pipe()
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                worker_command(kind),
                stdin=read_fd,
                stdout=write_fd,
                stderr=file,
                start_new_session=True,
            )
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

    def close(self) -> None:
        self.hang_up()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._listener.join()


def worker_command(kind: str = "trainer") -> list[str]:
    """What an agent starts."""
    return [sys.executable, "-m", "tuner.worker", "train", "--kind", kind]
