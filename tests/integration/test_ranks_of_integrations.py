"""Lightning and the trainer of Hugging Face in two ranks, with the examples of `studies/`."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker_processes import WorkerProcess, setup_of_function, start_of_trial
from tuner.messages import Reported, Saved, Stop
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study.verdict import Outcome, Verdict

pytestmark = pytest.mark.long  # the packages are installed for the extended suite alone

STUDIES = Path(__file__).parents[2] / "studies"
PARAMS: dict[str, dict[str, Any]] = {
    "lightning": {"learning_rate": 0.01, "width": 32, "dropout": 0.0},
    "hugging-face": {"learning_rate": 0.002, "n_layers": 1, "dropout": 0.0},
}


@pytest.mark.parametrize("example", PARAMS)
def test_a_released_trial_resumes_on_all_ranks(example: str, tmp_path: Path) -> None:
    folder = STUDIES / example
    found = re.search(r"minimize: (\w+)", (folder / "study.yaml").read_text())
    assert found is not None
    copy = tmp_path / "study"
    copy.mkdir()
    (copy / "train.py").write_text((folder / "train.py").read_text())
    (tmp_path / "spool").mkdir(mode=0o700)
    setup = setup_of_function(
        copy,
        fixed={"epochs": 4},
        goal=Goal(metric=found[1], direction=Direction.MINIMIZE),
        save_every_seconds=0.0,
        trusts_folders=True,
        n_ranks=2,
    )
    about = {"params": PARAMS[example], "seed": 7, "decide_at": ((2, 100, 1),)}
    first = WorkerProcess(tmp_path / "first.log", "function")
    second = WorkerProcess(tmp_path / "second.log", "function")
    try:
        first.say(setup, start_of_trial(**about))
        first.hear(Reported, step=2)
        first.say(Stop(number=4, attempt=1, verdict=Verdict.RELEASE))
        messages = first.all_until_left()
        assert messages[-1].how is Outcome.RELEASED, first.log.read_text()
        saved = [message for message in messages if isinstance(message, Saved)][-1]
        assert saved.step == 2
        resumed = {
            "number": 4,
            "attempt": 2,
            "checkpoint": saved.path,
            "from_step": 2,
            "last_value": 1.0,
        }
        second.say(setup, start_of_trial(**{**about, **resumed, "decide_at": ()}))
        messages = second.all_until_left()
        assert messages[-1].how is Outcome.COMPLETE, second.log.read_text()
        assert [m.step for m in messages if isinstance(m, Reported)] == [3, 4]
    finally:
        first.close()
        second.close()
