"""How a device is written on the command line; loads no torch."""

from tuner.errors import UsageError


def split_device(asked: str) -> tuple[str, int]:
    """`cuda:1` as its kind and index; raises `UsageError` for what is no device."""
    kind, _, index = asked.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()) or asked == "cpu:":
        raise UsageError(f"--device {asked}: write cpu, cuda or cuda:N")
    return kind, int(index or 0)
