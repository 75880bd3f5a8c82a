"""Identity of an agent, in terms that another agent can compare."""

import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuner.study.agents import AgentIdentity
from tuner.study.code import Code


def build_identity(
    devices: Sequence[str],
    code: Code | None = None,
    about: Mapping[str, Any] | None = None,
    memory_bytes: int | None = None,
) -> AgentIdentity:
    """Return a fresh identity: a restarted agent is a different one."""
    return AgentIdentity(
        agent_id=uuid.uuid4(),
        host=socket.gethostname(),
        boot=_boot(),
        pid=os.getpid(),
        devices=tuple(devices),
        code=code or {},
        about=about or {},
        memory_bytes=memory_bytes,
    )


def _boot() -> str:
    """Identify this boot of this machine and this pid namespace, within which pids are comparable.

    Two containers share the boot id but not the pids. Without /proc no pids are comparable.
    """
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot_id} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return str(uuid.uuid4())
