"""The two descriptors between a child and its agent, protected from the user's code."""

import fcntl
import os
from dataclasses import dataclass

from tuner.worker.forks import release_forks

_FIRST_FREE = 3  # after the standard streams


@dataclass(frozen=True, kw_only=True)
class Streams:
    """Descriptors for messages: the child's original standard input and output."""

    read_fd: int
    write_fd: int


def take_streams() -> Streams:
    """Keep standard input and output for messages, and replace them for the user's code.

    Afterwards standard input is empty and standard output is the log. No program that the user's
    code starts inherits the kept descriptors, and in a process that it forks they lead nowhere.
    """
    streams = Streams(
        read_fd=fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE),
        write_fd=fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE),
    )
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    os.register_at_fork(after_in_child=lambda: _forget(streams))
    release_forks()
    return streams


def _forget(streams: Streams) -> None:
    """Disconnect a forked process: it has no agent."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (streams.read_fd, streams.write_fd):
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
