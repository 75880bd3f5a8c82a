"""The text form of a device on the command line; loads no torch."""

from tuner.errors import UsageError


def split_device(asked: str) -> tuple[str, int]:
    """Split `cuda:1` into kind and index; raises `UsageError` for an invalid device."""
    kind, _, index = asked.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()) or asked == "cpu:":
        raise UsageError(f"--device {asked}: write cpu, cuda or cuda:N")
    return kind, int(index or 0)
