"""The files that an objective's code consists of, and their hashes."""

import hashlib
import sys
from pathlib import Path

_HERE = Path(__file__).parents[1]  # our own package
_LIBRARIES = {"site-packages", "dist-packages"}


def hash_sources(module_name: str, folder: str) -> dict[str, str]:
    """The sha256 of each file of the user's that has been imported so far.

    These are the modules below the study file's folder and those of the objective's own package,
    wherever that is installed; libraries are not. Names are relative, so that they are the same
    on every machine: "train.py", "mylab/nets.py".
    """
    root = Path(folder).resolve()
    package = "" if module_name.endswith(".py") else module_name.partition(".")[0]
    hashes = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        path = Path(file).resolve()
        is_own = bool(package) and (name == package or name.startswith(f"{package}."))
        if is_own and not path.is_relative_to(root):
            shown = name.replace(".", "/") + ".py"
        elif path.is_relative_to(root) and not path.is_relative_to(_HERE):
            relative = path.relative_to(root)
            if _LIBRARIES & set(relative.parts):
                continue
            shown = relative.as_posix()
        else:
            continue
        try:
            hashes[shown] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            continue  # gone since it was imported
    return dict(sorted(hashes.items()))
