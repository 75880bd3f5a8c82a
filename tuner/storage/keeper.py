"""The embedded server's keeper: stops Postgres when the last tuner process of this home is gone.

A script of its own (standard library only, started with `python -I -S`), so that it outlives
the process that started it and costs little. Every tuner process holds a shared lock on
`users.lock`; the kernel drops it however the process ends. The keeper waits for the exclusive one:
when it gets it, nobody is left, and it stops the server. While it stops, newcomers wait for their
shared lock.

usage: keeper.py SERVER_FOLDER
"""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path

STOP_SECONDS = 20.0


def main() -> None:
    """Wait for the last user to leave, then stop the server."""
    folder = Path(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the agent
    os.umask(0o077)
    with open(folder / "keeper.lock", "a") as mine, open(folder / "users.lock", "a") as users:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # another keeper is at work
        fcntl.flock(users, fcntl.LOCK_EX)
        stop_server(folder / "data" / "postmaster.pid")


def stop_server(pid_file: Path) -> None:
    """End the postmaster: fast (SIGINT), after `STOP_SECONDS` at once (SIGQUIT)."""
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    for ask in (signal.SIGINT, signal.SIGQUIT):
        try:
            os.kill(pid, ask)
        except ProcessLookupError:
            return
        end = time.monotonic() + STOP_SECONDS
        while time.monotonic() < end:
            if not pid_file.exists():
                return
            time.sleep(0.02)


if __name__ == "__main__":
    main()
