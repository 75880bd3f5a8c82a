"""Protocol between an agent and its template (`tuner.worker.template`), which forks the workers.

A request carries the standard streams of the new process and one end of a socket of its own. On
that socket the template says which process it has forked, and later how it ended. The kernel closes
the socket if the template ends first.
"""

import json
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

_N_STREAMS = 3  # standard input, output and error
_MAX_BYTES = 4096  # of a message


@dataclass(frozen=True, kw_only=True)
class Request:
    """Fork a process with these descriptors."""

    streams: Sequence[int]
    answers: socket.socket  # for this process


@dataclass(frozen=True, kw_only=True)
class Forked:
    """The answer to a request."""

    pid: int
    pid_fd: int  # -1 where the kernel has no such
    note: str = ""  # about the template, for the user


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The other answer: the system allows no more processes."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The end of a forked process."""

    exit_code: int  # negative: the signal that ended it


Answer = Forked | Refused | Ended


def open_channel() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets that keep the bounds of messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def ask(template: socket.socket, streams: Sequence[int], answers: socket.socket) -> None:
    """Ask for a process; raises `OSError` if the template is gone."""
    socket.send_fds(template, [b"fork"], [*streams, answers.fileno()])


def receive_request(agent: socket.socket) -> Request | None:
    """Wait for the next request; None if the agent is gone."""
    content, descriptors, _, _ = socket.recv_fds(agent, _MAX_BYTES, _N_STREAMS + 1)
    if not content:
        return None
    *streams, answers = descriptors
    return Request(streams=streams, answers=socket.socket(fileno=answers))


def answer(answers: socket.socket, message: Answer) -> None:
    """Send an answer; one that the agent does not wait for any more is dropped."""
    with suppress(OSError):
        match message:
            case Forked(pid=pid, pid_fd=pid_fd, note=note):
                content = json.dumps({"pid": pid, "note": note}, ensure_ascii=False).encode()
                socket.send_fds(answers, [content], [pid_fd] if pid_fd >= 0 else [])
            case Refused(reason=reason):
                answers.send(json.dumps({"reason": reason}).encode())
            case Ended(exit_code=exit_code):
                answers.send(json.dumps({"exit_code": exit_code}).encode())


def receive_answer(answers: socket.socket) -> Answer | None:
    """Wait for the next answer; None if the template is gone. Raises `TimeoutError`."""
    try:
        content, descriptors, _, _ = socket.recv_fds(answers, _MAX_BYTES, 1)
    except ConnectionResetError:
        return None
    if not content:
        return None
    fields = json.loads(content)
    if "pid" in fields:
        pid_fd = descriptors[0] if descriptors else -1
        if pid_fd >= 0:
            os.set_inheritable(pid_fd, False)
        return Forked(pid=fields["pid"], pid_fd=pid_fd, note=fields["note"])
    return Refused(**fields) if "reason" in fields else Ended(**fields)
