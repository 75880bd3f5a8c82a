"""A first search space from the help of a program: its numeric options, marked as guesses."""

import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from tuner.errors import UsageError
from tuner.study_file.kinds.command.placeholders import BUILT_IN

HELP_SECONDS = 10.0
_MAX_HELP = 200_000  # bytes
_MAX_OPTIONS = 12  # in the search space
_START = re.compile(r"^\s{1,12}(?:(-\w)(?:[ =]\S+)?, *)?--([A-Za-z][\w-]*)[ =]?(.*)$")
_DEFAULT = re.compile(r"\bdefaults?(?: is| to|:|=)?\s*:?\s*['\"]?([^\s'\"\])},;]+)", re.IGNORECASE)
_CHOICES = re.compile(r"^\{([^{}]+)\}|^\[([^\[\]|]+(?:\|[^\[\]|]+)+)\]")
# Options that say how a program runs, not what it trains.
_NOT_SEARCHED = re.compile(
    r"seed|help|version|verbose|quiet|debug|device|gpus?|cuda|rank|world|port|nodes?|threads"
    r"|workers|jobs|interval|every|freq|print|log|save|steps_per|max_steps|timeout|limit|resume"
    r"|trial|samples|dry_run|patience|warmup_steps|test_|eval_|val_"
)
_LENGTH = re.compile(r"(n_|num_|max_|max_num_|train_|num_train_)?epochs?")
_KNOWN = (  # names whose usual ranges are known, for options without a default
    (re.compile(r"(lr|learning_rate|base_lr)"), "{float: [1e-4, 1e-1], log: true}"),
    (re.compile(r"(weight_decay|wd|l2)"), "{float: [1e-6, 1e-2], log: true}"),
    (re.compile(r"dropout.*|.*_dropout"), "{float: [0, 0.5]}"),
    (re.compile(r"momentum"), "{float: [0.5, 0.99]}"),
    (re.compile(r"batch_?size"), "{choice: [16, 32, 64, 128]}"),
    (re.compile(r"width|n?_?hidden(_(size|dim|units))?"), "{int: [16, 256], log: true}"),
    (re.compile(r"((n|num)_)?layers|depth"), "{int: [1, 4]}"),
)


@dataclass(frozen=True, kw_only=True)
class ProgramOption:
    """An option of a program that may be searched."""

    flag: str  # "--batch-size"
    name: str  # of the param: "batch_size"
    range: str  # as a study file writes it; empty for the number of epochs and the seed
    default: str  # as the help shows it; empty without one
    short: str = ""  # "-b"

    def value_in(self, words: Sequence[str]) -> tuple[int, str] | None:
        """Return the value that a command line gives to it, with its place, or None."""
        flags = [flag for flag in (self.flag, self.short) if flag]
        for place, word in enumerate(words):
            if word in flags and place + 1 < len(words):
                return place + 1, words[place + 1]
            if word.startswith(f"{self.flag}="):
                return place, word.removeprefix(f"{self.flag}=")
        return None


def read_help(words: Sequence[str], folder: Path) -> str:
    """Run `PROGRAM ... --help` and return its output; raises `UsageError` if that fails.

    It gets ten seconds; then its process group is killed, and the output is empty: a program that
    ignores the option trains.
    """
    line = " ".join([*words, "--help"])
    try:
        process = subprocess.Popen(
            [*words, "--help"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise UsageError(f"{line} cannot be run ({error.strerror})") from error
    assert process.stdout is not None
    until = monotonic() + HELP_SECONDS
    try:
        text = _read_until(process.stdout.fileno(), until)
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - monotonic()) if len(text) < _MAX_HELP else 0.0)
        code = process.returncode
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    if code is None:
        return ""
    if code != 0:
        last = next((part for part in reversed(text.splitlines()) if part.strip()), "")
        raise UsageError(f"{line} failed with exit code {code}: {last.strip()[:200]}")
    return text


def _read_until(descriptor: int, until: float) -> str:
    """Return the output of a program until it ends, or a limit of time or size is reached."""
    found = bytearray()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while len(found) < _MAX_HELP and poll.poll(max(0.0, 1000 * (until - monotonic()))):
        chunk = os.read(descriptor, _MAX_HELP)
        if not chunk:
            break
        found += chunk
    return found[:_MAX_HELP].decode(errors="replace")


def guess_options(help_text: str) -> tuple[ProgramOption, ...]:
    """Return the options that can be searched, the number of epochs, and the seed."""
    found = {
        option.name: replace(option, short=short)
        for short, flag, usage, block in _blocks(help_text)
        if (option := _guess(flag, usage, block)) is not None
    }
    fixed = [option for option in found.values() if not option.range]
    searched = [option for option in found.values() if option.range]
    return (*fixed, *searched[:_MAX_OPTIONS])


def find_others(help_text: str, guesses: Sequence[ProgramOption]) -> tuple[str, ...]:
    """Return the options that take a value and are not among the guesses."""
    known = {"--help", "--version", *(guess.flag for guess in guesses)}
    return tuple(flag for _, flag, usage, _ in _blocks(help_text) if usage and flag not in known)


def _blocks(help_text: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield each option (short and long) with its metavar or choices, and its description."""
    current: tuple[str, str, str] | None = None
    lines: list[str] = []
    for line in [*help_text.splitlines(), "  --end"]:
        start = _START.match(line)
        if start is None:
            lines.append(line.strip())
            continue
        if current is not None:
            yield (*current, " ".join(lines))
        # Two spaces precede the description: an option without a value has nothing else.
        usage = "" if start[3].startswith(" ") else start[3].partition("  ")[0].strip()
        current, lines = (start[1] or "", f"--{start[2]}", usage), [start[3].strip()]


def _guess(flag: str, usage: str, block: str) -> ProgramOption | None:
    name = flag.removeprefix("--").replace("-", "_")
    shown = _DEFAULT.search(block)
    default = shown[1].rstrip(".") if shown else ""
    if _LENGTH.fullmatch(name):
        is_count = default.isdigit() and int(default) > 0
        return ProgramOption(
            flag=flag, name="epochs", range="", default=default if is_count else "10"
        )
    if name == "seed":
        return ProgramOption(flag=flag, name=name, range="", default="")
    if name in BUILT_IN or _NOT_SEARCHED.search(name):
        return None
    takes_value = bool(usage) or _number(default) is not None
    range_ = _choices(usage) or (_around(name, default) if takes_value else "")
    return ProgramOption(flag=flag, name=name, range=range_, default=default) if range_ else None


def _choices(usage: str) -> str:
    found = _CHOICES.match(usage)
    if found is None:
        return ""
    names = [text.strip() for text in re.split(r"[,|]", found[1] or found[2])]
    if len(names) < 2 or not all(re.fullmatch(r"[A-Za-z_][\w.-]*", text) for text in names):
        return ""
    words = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
    if any(text.lower() in words for text in names):
        return ""
    return f"{{choice: [{', '.join(names)}]}}"


def _around(name: str, default: str) -> str:
    """Return a range around a default; that of a known name without one."""
    for pattern, usual in _KNOWN:
        if pattern.fullmatch(name) and (_number(default) is None or "dropout" in name):
            return usual
    number = _number(default)
    if number is None or number <= 0:
        return ""
    if re.fullmatch(r"\d+", default):
        whole = int(default)
        log = ", log: true" if whole >= 16 else ""
        return f"{{int: [{max(1, whole // 2)}, {max(2, whole * 2)}]{log}}}"
    if 0.1 <= number < 1 and not re.search(r"lr|rate|decay", name):
        return f"{{float: [{_text(number / 2)}, {_text((1 + number) / 2)}]}}"
    return f"{{float: [{_text(number / 10)}, {_text(number * 10)}], log: true}}"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e12 else None


def _text(number: float) -> str:
    return f"{number:.3g}"
