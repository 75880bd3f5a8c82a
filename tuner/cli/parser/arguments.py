"""Arguments as they are typed, converted to values; argparse shows their faults."""

import argparse
import math
import re

_DURATION = re.compile(r"(?=\w)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_LISTEN = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+|\*))(?::(\d{1,5}))?", re.ASCII)
_MAX_AMOUNT = 1e15


def text(given: str) -> str:
    """Check an argument for a database and a terminal."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{given!a} is not UTF-8") from None
    if "\0" in given:
        raise argparse.ArgumentTypeError(f"{given!a} holds a zero character")
    return given


def workers(given: str) -> int:
    return _whole(given, 1, 1024)


def port(given: str) -> int:
    """Parse a TCP port; 0: any free one."""
    return _whole(given, 0, 65_535)


def trial_number(given: str) -> int:
    return _whole(given, 0, 2**31 - 1)


def priority(given: str) -> int:
    """Parse a priority; argparse takes `-5` for a number, since no option looks like one."""
    digits = given.removeprefix("-")
    number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 6 else 1001
    if number > 1000:
        raise argparse.ArgumentTypeError(f"{given!r} is not a whole number from -1000 to 1000")
    return -number if given.startswith("-") else number


def at_least_one(given: str) -> int:
    """Parse a number of rows, or an attempt."""
    return _whole(given, 1, 2**31 - 1)


def seeds(given: str) -> int:
    """Parse a number of seeds, at least 2: one seed gives no spread."""
    return _whole(given, 2, 1000)


def _whole(given: str, low: int, high: int) -> int:
    number = int(given) if given.isascii() and given.isdecimal() and len(given) < 12 else low - 1
    if not low <= number <= high:
        words = f"from {low} to {high}" if high < 100_000 else f"of at least {low}"
        raise argparse.ArgumentTypeError(f"{given!r} is not a whole number {words}")
    return number


def seconds(given: str) -> float:
    """Parse the interval of a screen."""
    value = _number(given)
    if value is None or not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{given!r} is not a number of seconds from 0.1 to 3600")
    return value


def amount(given: str) -> tuple[float, bool]:
    """Parse `200` or `+50`: an amount, and whether it is additional."""
    digits = given.removeprefix("+")
    is_whole = digits.isascii() and digits.isdecimal() and len(digits) < 16
    if not is_whole or int(digits) == 0:
        raise argparse.ArgumentTypeError(f"{given!r} is not a whole number such as 200 or +50")
    return float(digits), given.startswith("+")


def duration(given: str) -> tuple[float, bool]:
    """Parse `12h` or `+30m`, in seconds."""
    match = _DURATION.fullmatch(given.removeprefix("+")[:40])
    parts = [float(part or 0) for part in match.groups()] if match else []
    total = sum(n * unit for n, unit in zip(parts, (86_400, 3600, 60, 1), strict=False))
    if not 0 < total < _MAX_AMOUNT:
        raise argparse.ArgumentTypeError(f"{given!r} is not a duration such as 12h, 1d12h or +30m")
    return total, given.startswith("+")


def hours(given: str) -> tuple[float, bool]:
    """Parse `300` or `+20.5`, in seconds."""
    value = _number(given.removeprefix("+"))
    if value is None or not 0 < value < _MAX_AMOUNT:
        raise argparse.ArgumentTypeError(f"{given!r} is not a number of hours such as 300 or +20")
    return value * 3600, given.startswith("+")


def target(given: str) -> tuple[float, bool]:
    """Parse a value of the objective."""
    value = _number(given)
    if value is None:
        raise argparse.ArgumentTypeError(f"{given!r} is not a finite number")
    return value, False


def listen(given: str) -> tuple[str, int]:
    """Parse `10.0.0.5`, `0.0.0.0:6000` or `[::1]:5432`: an address and a port."""
    match = _LISTEN.fullmatch(given)
    port = int(match[3] or 5432) if match else 0
    if match is None or not 1024 <= port < 65536:
        raise argparse.ArgumentTypeError(
            f"{given!r} is not an address such as 10.0.0.5 or 0.0.0.0:5432, "
            "with a port from 1024 to 65535"
        )
    return match[1] or match[2], port


def _number(given: str) -> float | None:
    try:
        value = float(given)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def modules(given: str) -> tuple[str, ...]:
    """Parse `MODULE[,MODULE]`."""
    names = tuple(name.strip() for name in given.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"{given!r} is no list of modules, such as net,losses")
    return names
