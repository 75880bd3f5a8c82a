"""Files that are replaced atomically: readers see the old content or the new one."""

import os
import secrets
from pathlib import Path

from tuner.errors import RunFailed
from tuner.training.folders import sync_folder, write_synced


def write_whole(path: Path, content: bytes | str, *, mode: int = 0o666) -> None:
    """Write a file, synced, and put it in place at once; `mode` as the umask leaves it.

    Raises `RunFailed`, and leaves existing content as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            write_synced(handle, data)
            os.rename(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        before = "; the former file is unchanged" if path.exists() else ""
        reason = error.strerror or str(error)
        if not path.parent.is_dir():
            reason = f"there is no folder {path.parent}"
        raise RunFailed(f"cannot write {path} ({reason}){before}") from error
