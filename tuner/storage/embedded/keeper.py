"""The embedded server's keeper stops Postgres when the last tuner process of this home ends.

It is a separate script (standard library only, started with `python -I -S`), so that it outlives
the process that started it and costs little. Every tuner process holds a shared lock on
`users.lock`; the kernel drops it however the process ends. The keeper waits for the exclusive lock:
when it gets it, no user is left, and it stops the server. While it stops, new processes wait for
their shared lock.

usage: keeper.py SERVER_FOLDER
"""

import fcntl
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

STOP_SECONDS = 20.0


def main() -> None:
    """Wait for the last user to leave, then stop the server."""
    folder = Path(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the agent
    os.umask(0o077)
    # `mine` is given up first: the keeper of the next user must find it free.
    with open(folder / "users.lock", "a") as users, open(folder / "keeper.lock", "a") as mine:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # another keeper is at work
        fcntl.flock(users, fcntl.LOCK_EX)
        stop_server(folder)


def stop_server(folder: Path) -> None:
    """End the postmaster: fast (SIGINT), after `STOP_SECONDS` at once (SIGQUIT)."""
    for ask in (signal.SIGINT, signal.SIGQUIT):
        asked = None
        end = time.monotonic() + STOP_SECONDS
        while is_running(folder) and time.monotonic() < end:
            pid = find_postmaster(folder / "data")
            if pid is not None and pid != asked:
                with suppress(ProcessLookupError):
                    os.kill(pid, ask)
                asked = pid
            time.sleep(0.02)


def is_running(folder: Path) -> bool:
    """Return whether a server process lives, even one that has not written its pid file yet.

    Each holds a shared lock on `server.lock`, which it inherits at its start.
    """
    try:
        # Never made here: once the server is gone, its owner may be removing the folder.
        with open(folder / "server.lock", "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        pass
    except OSError:
        return True
    return find_postmaster(folder / "data") is not None


def find_postmaster(data: Path) -> int | None:
    """Return the process in the pid file, if it is the server of this folder.

    The file remains after a crash, and another program may have its number now.
    """
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(data) in command else None


if __name__ == "__main__":
    main()
