"""`python -m tuner.worker.kinds.function.member`: one rank of a trial, started by torchrun."""

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tuner.messages import Setup, Start, decode
from tuner.worker.exits import ORDERLY
from tuner.worker.kinds.function.objective import FunctionObjective
from tuner.worker.lanes import PipeLane
from tuner.worker.process import PR_SET_PDEATHSIG, leave, prctl, show_stacks
from tuner.worker.ranks.channel import open_channel
from tuner.worker.ranks.failures import write_raised
from tuner.worker.ranks.lane import RankLane
from tuner.worker.ranks.mail import NoMail, SocketMail
from tuner.worker.ranks.place import CLOSING, PLACE, SOCKET, START


def main() -> None:
    """Call the function for the trial; the first rank reports how it left."""
    folder = Path(os.environ.pop(PLACE))
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
    message = left.as_left(start.number, start.attempt)
    if left.how not in ORDERLY:
        write_raised(folder, rank, message)
        leave(1)
    if rank == 0:
        mail.send(message)
    leave(0)


def _end_with(folder: Path) -> None:
    """End by torchrun's SIGTERM, and by no other: to a whole job, it is the agent's to judge."""
    show_stacks()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # with torchrun, also if that is killed
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


if __name__ == "__main__":
    main()
