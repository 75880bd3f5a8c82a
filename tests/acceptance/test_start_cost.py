"""What a command loads before it does its work."""

import os
import resource
import subprocess
import sys

from tests.acceptance.command import ROOT, build_environment, find_command

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
    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [*find_command(), "--help"],
            env=build_environment({}),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cpu_seconds() for _ in range(5)) < 0.2


def test_a_training_that_is_refused_is_so_before_torch_is_loaded(finished, tmp_path):
    (tmp_path / "stub" / "torch").mkdir(parents=True)
    (tmp_path / "stub" / "torch" / "__init__.py").write_text("raise SystemExit('torch is loaded')")
    without = {"PYTHONPATH": f"{tmp_path / 'stub'}{os.pathsep}{ROOT}"}
    best = tmp_path / "best.yaml"
    finished.look("export", "plain", "-o", best)
    (tmp_path / "full").mkdir(mode=0o700)
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    for words, told in (
        (["-o", tmp_path / "full"], "is not empty"),
        (["-o", best], "is a file"),
        (["-o", best / "out"], "Not a directory"),
        (["--device", "tpu"], "write cpu, cuda or cuda:N"),
        (["--from-weights"], "names no weights"),
    ):
        refused = finished("train", best, *words, code=None, **without)
        assert told in refused.err
        assert refused.err.count("\n") == 1
        assert refused.code in (1, 2)
    accepted = finished("train", best, "-o", tmp_path / "out", code=1, **without)
    assert "torch is loaded" in accepted.err
    assert not (tmp_path / "out").exists()
