"""What a command loads before it does its work."""

import subprocess
import sys
import time

from tests.acceptance.command import build_environment, find_command

_SCRIPT = """\
import sys
from tuner.cli.main import main
code = main(sys.argv[1:])
print(*sys.modules)
sys.exit(code)
"""


def _modules(tuner, *arguments: str) -> set[str]:
    output = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *arguments],
        env=build_environment(tuner.environment),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(output.splitlines()[-1].split())


def test_status_loads_no_torch(tuner):
    modules = _modules(tuner, "status")
    assert "sqlalchemy" in modules
    assert "torch" not in modules
    assert "sklearn" not in modules


def test_help_comes_at_once(tuner):
    def seconds() -> float:
        began = time.monotonic()
        subprocess.run(
            [*find_command(), "--help"],
            env=build_environment({}),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.monotonic() - began

    assert min(seconds() for _ in range(5)) < 0.2
