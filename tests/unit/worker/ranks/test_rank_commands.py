"""A program under torchrun: its command, and the record of the rank that failed."""

import json
from pathlib import Path

import pytest

from tuner.trial.ends import Mistake
from tuner.worker.ranks.failures import Failed, read_failed, tail_of
from tuner.worker.ranks.place import in_ranks


@pytest.mark.parametrize(
    ("command", "before", "after"),
    [
        (["python", "train.py", "-m", "3"], ["python"], ["train.py", "-m", "3"]),
        (["/x/python3", "-u", "train.py"], ["/x/python3", "-u"], ["train.py"]),
        (["python", "-W", "ignore", "-m", "lab"], ["python", "-W", "ignore"], ["-m", "lab"]),
    ],
)
def test_torchrun_takes_the_place_between_python_and_the_program(
    command: list[str], before: list[str], after: list[str], tmp_path: Path
) -> None:
    full = in_ranks(command, 3, tmp_path)
    assert full[: len(before)] == before
    assert full[-len(after) :] == after
    assert full[len(before)].endswith("launcher.py")
    rest = " ".join(full[len(before) :])
    assert "--standalone --nproc-per-node 3" in rest
    assert "--redirects 1:3,2:3" in rest


@pytest.mark.parametrize("command", [["bash", "run.sh"], ["python", "-c", "print(1)"], ["python"]])
def test_another_program_is_a_mistake_with_a_way_out(command: list[str], tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="processes_per_trial: 1"):
        in_ranks(command, 2, tmp_path)


def test_the_rank_that_failed_is_read_or_not_known(tmp_path: Path) -> None:
    assert read_failed(tmp_path) is None
    (tmp_path / "failed.json").write_text("{")
    assert read_failed(tmp_path) is None
    (tmp_path / "failed.json").write_text(json.dumps({"rank": 1, "exit_code": -9}))
    assert read_failed(tmp_path) == Failed(rank=1, exit_code=-9)


def test_the_tail_has_both_streams_of_a_rank(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "run" / "attempt_0" / "1"
    folder.mkdir(parents=True)
    (folder / "stdout.log").write_text("said\n")
    (folder / "stderr.log").write_text("Traceback\n")
    assert tail_of(tmp_path, 1) == "--- stdout of rank 1\nsaid\n\n--- stderr of rank 1\nTraceback\n"
    assert tail_of(tmp_path, 0) == ""
