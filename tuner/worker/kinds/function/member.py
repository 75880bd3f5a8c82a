"""`python -m tuner.worker.kinds.function.member`: one rank of a trial, started by torchrun."""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tuner.messages import Left, Setup, Start, decode
from tuner.study.verdict import Outcome
from tuner.worker.exits import Exit
from tuner.worker.kinds.function.objective import FunctionObjective
from tuner.worker.lanes import PipeLane
from tuner.worker.process import leave, show_stacks
from tuner.worker.ranks.channel import open_channel
from tuner.worker.ranks.lane import RankLane
from tuner.worker.ranks.mail import NoMail, SocketMail
from tuner.worker.ranks.place import CLOSING, PLACE, SOCKET, START, failure_file

_ORDERLY = {Outcome.COMPLETE, Outcome.PRUNED, Outcome.RELEASED, Outcome.DROPPED}


def main() -> None:
    """Call the function for the trial; the first rank reports how it left."""
    folder = Path(os.environ.pop(PLACE))
    sys.argv[:] = sys.argv[:1]
    _end_with(folder)
    setup, start = _messages(folder)
    channel = open_channel(os.environ)
    rank = channel.rank
    mail = NoMail() if rank else SocketMail(folder / SOCKET)
    lane = PipeLane(start, setup, mail, complete=lambda params: params, is_stepwise=False)
    if isinstance(mail, SocketMail):
        mail.taker = lane
    objective = FunctionObjective(_on_device(setup, os.environ))
    objective.admit([RankLane(lane, channel)])
    (left,) = objective.turn()
    if left.how in _ORDERLY:
        if rank == 0:
            mail.send(_message(start, left))
        leave(0)
    _note_failure(folder, rank, left)
    leave(1)


def _end_with(folder: Path) -> None:
    """End by torchrun's SIGTERM, and by no other: to a whole job, it is the agent's to judge."""
    show_stacks()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end(_signal: int, _frame: object) -> None:
        if (folder / CLOSING).exists():
            os._exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


def _messages(folder: Path) -> tuple[Setup, Start]:
    setup, start = map(decode, (folder / START).read_bytes().splitlines())
    assert isinstance(setup, Setup)
    assert isinstance(start, Start)
    return setup, start


def _on_device(setup: Setup, variables: Mapping[str, str]) -> Setup:
    kind, _, _ = setup.device.partition(":")
    if kind == "cpu":
        return setup
    return replace(setup, device=f"{kind}:{variables['LOCAL_RANK']}")


def _message(start: Start, left: Exit) -> Left:
    return Left(
        number=start.number,
        attempt=start.attempt,
        how=left.how,
        value=left.value,
        message=left.message,
        facts=left.facts,
    )


def _note_failure(folder: Path, rank: int, left: Exit) -> None:
    record = {
        "rank": rank,
        "at": time.time(),
        "how": left.how.value,
        "message": left.message,
        "traceback": left.traceback,
        "facts": dict(left.facts),
    }
    draft = folder / f"draft-{rank}"
    draft.write_text(json.dumps(record))
    draft.rename(failure_file(folder, rank))


if __name__ == "__main__":
    main()
