"""A process that a template forks: what its agent hears of it."""

import os
import signal
import socket
from collections.abc import Iterator
from typing import cast

import pytest

from tuner.agent.workers.template import ForkedProcess, Template, TemplateGone
from tuner.errors import RunFailed
from tuner.fork_protocol import Ended, Forked, Refused, answer

FORKED = Forked(pid=os.getpid(), pid_fd=-1, note="")
NO_TEMPLATE = cast("Template", None)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The agent's end of a channel, and the other one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("order", [(FORKED, Ended(exit_code=3)), (Ended(exit_code=3), FORKED)])
def test_an_exit_code_may_come_before_the_word_that_the_process_was_forked(ends, order) -> None:
    ours, theirs = ends
    process = ForkedProcess(NO_TEMPLATE, ours)
    assert not process.has_answer
    for message in order:
        answer(theirs, message)
    assert process.has_answer
    assert process.pid == FORKED.pid
    assert process.wait(1.0) == 3
    process.send_signal(signal.SIGCONT)  # dropped: the process has ended


def test_a_refusal_and_the_end_of_the_template_are_errors(ends) -> None:
    ours, theirs = ends
    process = ForkedProcess(NO_TEMPLATE, ours)
    answer(theirs, Refused(reason="no memory"))
    with pytest.raises(RunFailed, match="starts no more processes: no memory"):
        _ = process.pid
    theirs.close()
    with pytest.raises(TemplateGone):
        _ = process.pid
