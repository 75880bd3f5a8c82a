"""The embedded server's parent makes sure that the server has a keeper, or ends.

It is a separate script (standard library only, started with `python -I -S`). It starts the server
as its child, under the server's own user, and checks once a second for the keeper (`keeper.py`),
which stops the server after its last user. A killed keeper is replaced. When this process itself is
killed the kernel asks the server to stop (PR_SET_PDEATHSIG), and the remaining users start all of
it again.

usage: server_parent.py SERVER_FOLDER UID:GID|- LOCK_DESCRIPTOR COMMAND...
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

LOOK_SECONDS = 1.0
NO_RIGHT = 126  # exit code where the server's user may not run it, as a shell has it
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Run until the server has ended; return the server's exit code."""
    folder, account, lock, *command = sys.argv[1:]
    for ignored in (signal.SIGINT, signal.SIGHUP):  # from a terminal that a user has closed
        signal.signal(ignored, signal.SIG_IGN)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    uid, gid = map(int, account.split(":")) if account != "-" else (None, None)
    own = os.getpid()

    def tie() -> None:
        """Tie the child to its parent; after its user was set, which would undo this."""
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if sys.platform == "linux":
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != own:
            os._exit(1)

    try:
        server = subprocess.Popen(
            command,
            pass_fds=[int(lock)],
            preexec_fn=tie,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
        )
    except PermissionError:
        sys.exit(NO_RIGHT)
    keeper: subprocess.Popen[bytes] | None = None
    while server.poll() is None:
        if signal.sigtimedwait({signal.SIGCHLD}, LOOK_SECONDS) is None:
            keeper = replace_keeper(Path(folder), keeper)
    sys.exit(server.returncode if server.returncode >= 0 else 128 - server.returncode)


def replace_keeper(
    folder: Path, last: "subprocess.Popen[bytes] | None"
) -> "subprocess.Popen[bytes] | None":
    """Start a keeper if none holds the keeper's lock; `last` is the one that was started here."""
    if last is not None and last.poll() is None:
        return last
    try:
        with open(folder / "keeper.lock", "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return None  # it is held, or the folder is being removed
    program = str(Path(__file__).with_name("keeper.py"))
    return subprocess.Popen([sys.executable, "-I", "-S", program, folder], start_new_session=True)


if __name__ == "__main__":
    main()
