"""Failures of the ranks of a trial: the rank at fault, and how it failed."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tuner.messages import BadMessage, Left, decode, encode
from tuner.study.verdict import Outcome
from tuner.worker.programs.endings import outcome_of
from tuner.worker.ranks.place import FAILED, LOGS

_TAIL = 4000  # characters


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The rank that failed first, as torchrun has noticed it."""

    rank: int
    exit_code: int  # negative: the signal that ended it


@dataclass(frozen=True, kw_only=True)
class Raised:
    """A failure that a rank of a function has written down itself."""

    rank: int
    at: int  # nanoseconds on the clock of the file system
    left: Left


def read_failed(folder: Path) -> Failed | None:
    """Return the rank that failed first, if one did."""
    try:
        return Failed(**json.loads((folder / FAILED).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_raised(folder: Path, rank: int, left: Left) -> None:
    """Write down how a rank failed, as a whole file or none."""
    draft = folder / f"draft-{rank}"
    draft.write_bytes(encode(left))
    draft.rename(_raised_file(folder, rank))


def read_raised(folder: Path, n_ranks: int) -> list[Raised]:
    """Return the failures that ranks have written down, the first one first."""
    found = []
    for rank in range(n_ranks):
        file = _raised_file(folder, rank)
        with suppress(OSError, BadMessage):
            left = decode(file.read_bytes())
            assert isinstance(left, Left)
            found.append(Raised(rank=rank, at=file.stat().st_mtime_ns, left=left))
    return sorted(found, key=lambda raised: raised.at)


def _raised_file(folder: Path, rank: int) -> Path:
    return folder / f"failure-{rank}.json"


def outcome_of_ranks(
    exit_code: int, tail: Sequence[str], folder: Path | None, *, has_oom_kill: bool
) -> tuple[Outcome, str]:
    """Return how a program failed, as `outcome_of` does: with ranks, the one at fault.

    `folder`: that of the ranks; None without any. The end of that rank's output is printed.
    """
    failed = None if folder is None else read_failed(folder)
    if folder is None or failed is None:
        return outcome_of(exit_code, tail, has_oom_kill=has_oom_kill)
    lines = print_tail(folder, failed.rank) or tail
    how, message = outcome_of(failed.exit_code, lines, has_oom_kill=has_oom_kill)
    return how, f"rank {failed.rank}: {message}"


def print_tail(folder: Path, rank: int) -> list[str]:
    """Print the end of a rank's output, and return its lines; none for the first rank."""
    text = tail_of(folder, rank)
    print(text, file=sys.stderr, flush=True)
    return text.splitlines()


def tail_of(folder: Path, rank: int) -> str:
    """Return the end of the output of a rank that is not printed; empty for the first one."""
    parts = []
    for name in ("stdout", "stderr"):
        for path in sorted((folder / LOGS).glob(f"**/{rank}/{name}.log")):
            text = path.read_text(errors="replace")[-_TAIL:]
            parts += [f"--- {name} of rank {rank}\n{text}"] if text.strip() else []
    return "\n".join(parts)
