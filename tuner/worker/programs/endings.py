"""The end of a program as the end of its attempt: exit codes, signals, lack of memory."""

import re
import signal
from collections.abc import Sequence

from tuner.study.verdict import Outcome

_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
# Messages of the frameworks when a device or the machine has no memory left.
_NO_MEMORY = re.compile(
    r"CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError|DefaultCPUAllocator: can't allocate"
    r"|RESOURCE_EXHAUSTED|OOM when allocating|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation"
    r"|^MemoryError|Cannot allocate memory|std::bad_alloc|JavaScript heap out of memory"
    r"|HIP out of memory|MPS backend out of memory"
)
_USAGE = re.compile(r"^usage:", re.IGNORECASE)
_SHELL_SIGNAL = 128  # a shell returns 128 + n for a program that signal n ended
_NOT_RUN = (126, 127)  # of a shell: a program that cannot be run, or does not exist


def outcome_of(exit_code: int, tail: Sequence[str], *, has_oom_kill: bool) -> tuple[Outcome, str]:
    """Return how a program failed, and one sentence about it; `exit_code` is not 0.

    `tail`: the last lines of its output. `has_oom_kill`: the kernel has ended a process of this
    machine's control group for lack of memory meanwhile.
    """
    number = -exit_code if exit_code < 0 else exit_code - _SHELL_SIGNAL
    name = _signal_name(number)
    if exit_code < 0 or (name and number in (*_CRASHES, signal.SIGKILL)):
        said = f"the program was ended by {name or f'signal {number}'}"
    else:
        said = f"the program ended with exit code {exit_code}"
    last = last_error(tail)
    sentence = f"{said}: {last}" if last else said
    if any(_NO_MEMORY.search(line) for line in tail):
        return Outcome.OUT_OF_MEMORY, sentence
    if number == signal.SIGKILL:
        if has_oom_kill:
            return Outcome.OUT_OF_MEMORY, f"{said}: the kernel ran out of memory"
        return Outcome.KILLED, f"{said}; the kernel does so when memory runs out"
    if number in _CRASHES and name:
        return Outcome.CRASHED, sentence
    if exit_code < 0:
        return Outcome.KILLED, sentence
    is_usage = exit_code == 2 and any(_USAGE.match(line) for line in tail)
    if is_usage or exit_code in _NOT_RUN:
        return Outcome.MISTAKE, sentence
    return Outcome.EXITED, sentence


def last_error(tail: Sequence[str]) -> str:
    """Return the line of the output that most likely names the reason: the last one with text."""
    for line in reversed(tail):
        text = line.strip()
        if text:
            return text[:300]
    return ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
