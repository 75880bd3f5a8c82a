"""The listener of a worker pool turns messages, output and exits of workers into events."""

import math
import os
import queue
import selectors
import threading
from contextlib import suppress

from tuner.agent.events import Event, TemplateAnswered, WorkerGone, WorkerSaid, report_failures
from tuner.agent.workers.process import Worker
from tuner.helper_thread import HelperThread
from tuner.messages import (
    BadMessage,
    FromWorker,
    Kept,
    Left,
    Reported,
    Saved,
    Setup,
    decode,
)

READ_BYTES = 1 << 16
EXIT_SECONDS = 10.0  # for the listener thread to notice an end
# Printed output and messages beyond this are a runaway worker's.
MAX_LINE_BYTES = 4 << 20


class Listener(HelperThread):
    def __init__(self, inbox: "queue.SimpleQueue[Event]") -> None:
        super().__init__("listener", report_failures(inbox))
        self.setup: Setup | None = None  # once it is known
        self._inbox = inbox
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._arrivals: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._awaited: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._lock = threading.Lock()  # for the logs

    def add(self, worker: Worker) -> None:
        """Listen to a worker whose process has started."""
        self._arrivals.put(worker)
        self._wake()

    def await_start(self, worker: Worker) -> None:
        """Report when the template has answered the request for a worker."""
        worker.is_awaited = True
        self._awaited.put(worker)
        self._wake()

    def stop(self) -> None:
        super().stop()
        self._wake()

    def close(self) -> None:
        """Stop, wait for the end, and close the open descriptors."""
        self.stop()
        self.join(EXIT_SECONDS)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def clear_log(self, worker: Worker) -> None:
        """Forget the output: it belongs to the previous attempt."""
        with self._lock:
            worker.log.clear()
            worker.n_shown = 0

    def printed(self, worker: Worker, *, is_end: bool = False) -> tuple[str, int]:
        """Return the end of the attempt's output, and its total number of bytes."""
        with self._lock:
            if is_end:
                worker.log.finish()
            return worker.log.text(), worker.log.n_bytes

    def _wake(self) -> None:
        os.write(self._wake_write, b"x")

    def work(self) -> float:
        """Wait until something can be read, and read it."""
        for key, _ in self._selector.select():
            if key.data is None:
                os.read(self._wake_read, READ_BYTES)
                self._welcome()
            else:
                worker, what = key.data
                if worker.ended.is_set():
                    continue  # just now: its descriptors may be another worker's already
                self._attend(worker, what)
        return 0.0

    def _attend(self, worker: Worker, what: str) -> None:
        match what:
            case "start":
                self._selector.unregister(worker.process.exit_fd)
                worker.has_answer = True
                self._inbox.put(TemplateAnswered())
            case "log":
                self._drain_log(worker)
            case "pipe":
                if self._hear(worker) == b"":
                    self._note_end(worker)
            case _:
                # It has exited; a process that it has left behind may hold its pipe open.
                while self._hear(worker):
                    pass
                self._note_end(worker)

    def _welcome(self) -> None:
        while not self._awaited.empty():
            worker = self._awaited.get()
            exit_fd = worker.process.exit_fd  # the answer comes there too
            self._selector.register(exit_fd, selectors.EVENT_READ, (worker, "start"))
        while not self._arrivals.empty():
            worker = self._arrivals.get()
            self._selector.register(worker.read_fd, selectors.EVENT_READ, (worker, "pipe"))
            self._selector.register(worker.log_fd, selectors.EVENT_READ, (worker, "log"))
            exit_fd = worker.process.exit_fd
            self._selector.register(exit_fd, selectors.EVENT_READ, (worker, "exit"))

    def _drain_log(self, worker: Worker) -> None:
        """Read the output, so that printing never blocks; keep the end of it."""
        while True:
            try:
                text = os.read(worker.log_fd, READ_BYTES)
            except BlockingIOError:
                return
            if not text:
                with suppress(KeyError):
                    self._selector.unregister(worker.log_fd)
                return
            with self._lock:
                worker.log.feed(text)

    def _hear(self, worker: Worker) -> bytes | None:
        """Read the pipe: empty at its end, None when nothing is there now."""
        try:
            content = os.read(worker.read_fd, READ_BYTES)
        except BlockingIOError:
            return None
        if not content:
            return content
        worker.pending += content
        *lines, rest = bytes(worker.pending).split(b"\n")
        worker.pending = bytearray(rest)
        for line in lines:
            self._deliver(worker, line)
        if len(rest) > MAX_LINE_BYTES:
            worker.end()
        return content

    def _deliver(self, worker: Worker, line: bytes) -> None:
        try:
            message = decode(line)
        except BadMessage:
            return  # user code that writes on our descriptor harms only its own messages
        if not isinstance(message, FromWorker):
            return
        if isinstance(message, Saved | Kept) and not self._is_spooled(message):
            return
        tail, n_bytes = "", 0
        if isinstance(message, Left) or self._is_failing(message):
            self._drain_log(worker)
            tail, n_bytes = self.printed(worker, is_end=True)
        self._inbox.put(WorkerSaid(worker=worker.pid, message=message, tail=tail, n_bytes=n_bytes))

    def _is_spooled(self, saved: Saved | Kept) -> bool:
        """Return whether the file may be read and removed: user code may name any."""
        folder, name = os.path.split(saved.path)
        is_of_trial = name.startswith(f"{saved.number}-{saved.attempt}-") and "\0" not in name
        return self.setup is not None and folder == self.setup.spool and is_of_trial

    def _is_failing(self, message: FromWorker) -> bool:
        """Return whether the message ends its trial, so that the log is sent with it."""
        if self.setup is None or not isinstance(message, Reported):
            return False
        return not math.isfinite(message.values.get(self.setup.goal.metric, math.nan))

    def _note_end(self, worker: Worker) -> None:
        """Report a worker whose pipe has ended: it is about to exit, or made to."""
        self._selector.unregister(worker.read_fd)
        self._selector.unregister(worker.process.exit_fd)
        exit_code = worker.wait_for_end()
        self._drain_log(worker)
        tail, n_bytes = self.printed(worker, is_end=True)
        with suppress(KeyError):
            self._selector.unregister(worker.log_fd)
        worker.ended.set()
        if not self.is_stopped:
            gone = WorkerGone(worker=worker.pid, exit_code=exit_code, tail=tail, n_bytes=n_bytes)
            self._inbox.put(gone)
