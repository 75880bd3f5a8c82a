"""Provenance of a machine's training: packages, the git commit of the code, devices."""

import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tuner.agent.devices import Device

PACKAGES = ("tuner", "torch", "numpy", "scikit-learn", "optuna")
GIT_SECONDS = 2.0  # a commit is not worth more


def describe_machine(devices: Sequence[Device], folder: Path) -> dict[str, Any]:
    """Return the record that is stored with the agent; `folder` is the study file's."""
    return {
        "packages": {"python": platform.python_version(), **_versions()},
        "git": find_commit(folder),
        "devices": {device.name: device.product or _processor() for device in devices},
        "uuids": {device.name: list(device.uuids) for device in devices if device.uuids},
        "threads": min((device.n_threads for device in devices), default=1),
    }


def find_commit(folder: Path) -> str | None:
    """Return the commit of the folder's repository, with "-dirty" if its files were changed."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{commit}-dirty" if changes else commit


def _git(folder: Path, *words: str) -> str:
    """Return git's output; empty without git, without a repository, or after a timeout."""
    # No program that the repository's own settings name: fsmonitor would be one.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
