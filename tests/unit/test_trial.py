"""`tuner.Trial`: what a user's function gets, alone and with somebody who listens."""

import json
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tuner
from tuner.study.trial import MAX_NAME, Params, Values
from tuner.study.verdict import Verdict
from tuner.training.checkpoint import save_checkpoint
from tuner.trial import (
    MAX_ATTRIBUTE,
    MAX_ATTRIBUTES,
    MAX_METRICS,
    MAX_STEP,
    Mistake,
    Trial,
    TrialDropped,
    TrialEnd,
    TrialPruned,
    TrialReleased,
    check_return,
)
from tuner.trial.ends import IGNORED, SWALLOWED


class FakeLane:
    """A lane that is told what to answer, and notes what it heard."""

    def __init__(self, *verdicts: Verdict, checkpoint: str | None = None) -> None:
        self.number, self.seed, self.params = 3, 7, {}
        self.checkpoint = checkpoint
        self.from_step, self.last_value, self.trusts_folders = 0, None, True
        self.verdicts = deque(verdicts)  # then GO_ON
        self.reported: list[tuple[int, Values]] = []
        self.saved: list[tuple[int, object]] = []
        self.params: Params

    def report(self, step: int, values: Values) -> None:
        self.reported.append((step, values))

    def save(self, step: int, state: Callable[[], object]) -> bool:
        is_new = step not in dict(self.saved)
        if is_new:
            self.saved.append((step, state()))
        return is_new

    def once(self, act: Callable[[], None]) -> None:
        act()

    def verdict(self) -> Verdict:
        return self.verdicts.popleft() if self.verdicts else Verdict.CONTINUE

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        raise AssertionError("a function keeps nothing")


def _trial(*verdicts: Verdict, **about: Any) -> tuple[Trial, FakeLane]:
    lane = FakeLane(*verdicts)
    return Trial(params={"lr": 0.1}, metric="val_loss", lane=lane, **about), lane


def test_alone_it_holds_what_was_reported_and_nobody_stops_it() -> None:
    def train(trial: tuner.Trial) -> float:
        for _ in range(3):
            trial.report(val_loss=trial.params["lr"] / (trial.step + 1))
        return trial.reports[-1][1]["val_loss"]

    trial = tuner.Trial(params={"lr": 0.6})
    assert train(trial) == pytest.approx(0.2)
    assert [step for step, _ in trial.reports] == [1, 2, 3]
    assert trial.reports[1][1] == {"val_loss": pytest.approx(0.3)}
    assert (trial.seed, trial.number, trial.end) == (0, 0, None)
    assert trial.device in ("cpu", "cuda:0")


def test_its_params_are_a_copy() -> None:
    params: Params = {"lr": 0.1}
    trial = Trial(params=params)
    trial.params["lr"] = 5
    assert params == {"lr": 0.1}


def test_the_folder_is_made_when_it_is_asked_for_and_is_private(tmp_path: Path) -> None:
    trial = Trial(params={}, dir=tmp_path / "trials" / "4")
    assert list(tmp_path.iterdir()) == []
    before = os.umask(0)
    try:
        folder = trial.dir
    finally:
        os.umask(before)
    assert folder == tmp_path / "trials" / "4"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert trial.dir == folder


def test_alone_the_folder_is_a_temporary_one_and_stays_the_same() -> None:
    trial = Trial(params={})
    assert trial.dir == trial.dir
    assert trial.dir.is_dir()
    trial.dir.rmdir()


def test_reports_reach_who_listens_as_plain_floats() -> None:
    trial, lane = _trial()
    trial.report(val_loss=np.float32(0.5), accuracy=np.float64(0.25), n=np.int64(3), m=4)
    assert lane.reported == [(1, {"val_loss": 0.5, "accuracy": 0.25, "n": 3.0, "m": 4.0})]
    assert {type(value) for value in lane.reported[0][1].values()} == {float}


def test_steps_may_be_left_out_or_skip_and_numpys_are_whole_numbers_too() -> None:
    trial, lane = _trial()
    trial.report(val_loss=1)
    trial.report(step=5, val_loss=1)
    trial.report(val_loss=1)
    trial.report(step=np.int32(9), val_loss=1)
    assert [step for step, _ in lane.reported] == [1, 5, 6, 9]


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (0, "step is 0; steps count from 1"),
        (-3, "step is -3; steps count from 1"),
        (True, "step is True; steps count from 1"),
        (MAX_STEP + 1, "steps count from 1"),
        (1.5, "step is 1.5; give a whole number from 1 on"),
        ("3", "step is '3'; give a whole number from 1 on"),
        (4, "step 4 was reported after step 4; steps must grow"),
        (2, "step 2 was reported after step 4; steps must grow"),
    ],
)
def test_a_step_that_is_none_or_does_not_grow_is_a_mistake(step: Any, sentence: str) -> None:
    trial, lane = _trial()
    trial.report(step=4, val_loss=1)
    with pytest.raises(Mistake) as caught:
        trial.report(step=step, val_loss=1)
    assert sentence in str(caught.value)
    assert len(lane.reported) == len(trial.reports) == 1


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (torch.tensor(0.5), "val_loss is a Tensor, not a number; report val_loss=val_loss.item()"),
        (np.array([0.5]), "val_loss is a ndarray, not a number; report val_loss=val_loss.item()"),
        ("0.5", "val_loss is a str, not a number; report val_loss=float(...)"),
        (None, "val_loss is a NoneType, not a number; report val_loss=float(...)"),
        (True, "val_loss is a bool, not a number; report val_loss=float(...)"),
        (1j, "val_loss is a complex, not a number; report val_loss=float(...)"),
    ],
)
def test_a_value_that_is_no_number_is_a_mistake(value: Any, sentence: str) -> None:
    trial, lane = _trial()
    with pytest.raises(Mistake) as caught:
        trial.report(val_loss=value)
    assert str(caught.value) == sentence
    assert lane.reported == []


def test_a_report_without_a_metric_says_how_to_make_one() -> None:
    trial, _ = _trial()
    with pytest.raises(Mistake, match=r"has no metric; call trial\.report\(val_loss=\.\.\.\)"):
        trial.report()
    with pytest.raises(Mistake, match=r"has no metric; call trial\.report\(loss=\.\.\.\)"):
        Trial(params={}).report(step=3)


def test_a_report_without_the_studys_metric_names_it_and_what_was_given() -> None:
    trial, lane = _trial()
    with pytest.raises(Mistake) as caught:
        trial.report(loss=0.5, acc=0.1)
    assert str(caught.value) == (
        "the report has loss, acc, and not the study's metric; call trial.report(val_loss=...)"
    )
    assert lane.reported == []


@pytest.mark.parametrize(
    "values", [{f"m{n}": 0.0 for n in range(MAX_METRICS + 1)}, {"m" * (MAX_NAME + 1): 0.0}]
)
def test_a_report_has_bounds(values: dict[str, float]) -> None:
    with pytest.raises(Mistake, match="at most 100 metrics of 64 characters"):
        Trial(params={}).report(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_told_and_ends_the_trial(value: float) -> None:
    trial, lane = _trial()
    with pytest.raises(TrialDropped, match=r"val_loss is .* at step 1"):
        trial.report(val_loss=value)
    assert [step for step, _ in lane.reported] == [1], "the agent has to hear of it"


def test_another_metric_may_be_nan() -> None:
    trial, lane = _trial()
    trial.report(val_loss=0.5, grad_norm=math.nan)
    assert len(lane.reported) == 1


NESTED: list[Any] = []
NESTED.append(NESTED)


def test_user_attributes_are_numbers_text_and_bools() -> None:
    trial, _ = _trial()
    for key, value in [("a", 1), ("b", 0.5), ("c", "x"), ("d", True), ("e", np.float32(0.5))]:
        trial.set_user_attr(key, value)  # type: ignore[arg-type]
    assert trial.user_attrs == {"a": 1, "b": 0.5, "c": "x", "d": True, "e": 0.5}
    assert type(trial.user_attrs["e"]) is float


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("", 1, "an attribute's name is text of 1 to 64 characters, not ''"),
        (3, 1, "an attribute's name is text of 1 to 64 characters, not 3"),
        ("k", object(), "attribute k is a object; give a number, text or bool"),
        ("k", {"a": [1j]}, "attribute k is a complex; give a number, text or bool"),
        ("k", NESTED, "attribute k is nested deeper than 20; flatten it"),
        ("k", {1: 2}, "attribute k is a dict; give a number, text or bool"),
        ("k", np.array([1, 2]), "attribute k is a ndarray; give a number, text or bool"),
        ("k", torch.tensor(1), "attribute k is a Tensor; give a number, text or bool"),
    ],
)
def test_other_user_attributes_are_mistakes(key: Any, value: Any, sentence: str) -> None:
    trial, _ = _trial()
    with pytest.raises(Mistake) as caught:
        trial.set_user_attr(key, value)
    assert sentence in str(caught.value)
    assert trial.user_attrs == {}


@pytest.mark.parametrize(
    ("verdict", "end"),
    [
        (Verdict.PRUNE, TrialPruned),
        (Verdict.RELEASE, TrialReleased),
        (Verdict.DROP, TrialDropped),
    ],
)
def test_the_report_raises_what_the_agent_wants_and_no_except_exception_swallows_it(
    verdict: Verdict, end: type[TrialEnd]
) -> None:
    trial, lane = _trial(Verdict.CONTINUE, verdict)

    def train() -> None:
        for _ in range(9):
            with suppress(Exception):
                trial.report(val_loss=1.0)

    with pytest.raises(end):
        train()
    assert len(lane.reported) == 2
    assert isinstance(trial.end, end), "remembered, for code that catches everything"


def test_a_trial_with_checkpoints_is_released_at_its_next_save() -> None:
    trial, lane = _trial(Verdict.CONTINUE, Verdict.RELEASE, Verdict.RELEASE)
    assert trial.checkpoint.load() is None
    trial.report(val_loss=1.0)
    trial.report(val_loss=0.5)  # asked to leave here, and the step's state is not saved yet
    with pytest.raises(TrialReleased):
        trial.checkpoint.save({"epoch": 2})
    assert lane.saved == [(2, {"epoch": 2})]


def test_a_trial_that_does_not_save_is_released_at_its_next_report() -> None:
    trial, lane = _trial(Verdict.RELEASE, Verdict.RELEASE)
    trial.checkpoint.load()
    trial.report(val_loss=1.0)
    with pytest.raises(TrialReleased):
        trial.report(val_loss=0.5)
    assert lane.saved == []


def test_a_prune_while_a_release_waits_for_the_save_ends_the_trial() -> None:
    trial, _ = _trial(Verdict.RELEASE, Verdict.PRUNE)
    trial.checkpoint.load()
    trial.report(val_loss=1.0)
    with pytest.raises(TrialPruned):
        trial.report(val_loss=0.5)


def test_a_release_that_comes_during_a_save_saves_before_it_leaves() -> None:
    trial, lane = _trial(Verdict.CONTINUE, Verdict.RELEASE)
    trial.report(val_loss=1.0)
    skipped: list[int] = []

    def save(step: int, state: Callable[[], object]) -> None:
        if lane.verdicts:  # nothing is due yet: the release is heard of only afterwards
            skipped.append(step)
        else:
            lane.saved.append((step, state()))

    lane.save = save  # type: ignore[method-assign]
    with pytest.raises(TrialReleased):
        trial.checkpoint.save({"epoch": 1})
    assert (skipped, lane.saved) == ([1], [(1, {"epoch": 1})])


def test_a_state_that_cannot_be_saved_is_a_mistake(tmp_path: Path) -> None:
    trial = Trial(params={}, dir=tmp_path)
    trial.report(loss=1.0)
    with pytest.raises(Mistake, match="object"):
        trial.checkpoint.save({"model": object()})


def test_alone_a_checkpoint_is_written_and_found_again(tmp_path: Path) -> None:
    first = Trial(params={}, dir=tmp_path)
    assert first.checkpoint.load() is None
    first.report(loss=1.0)
    weights = torch.arange(3.0)
    first.checkpoint.save({"epoch": 1, "model": {"w": weights}, "shape": (2, 3)})
    second = Trial(params={}, dir=tmp_path)
    state = second.checkpoint.load()
    assert (state["epoch"], state["shape"]) == (1, (2, 3))
    assert torch.equal(state["model"]["w"], weights)


def test_over_a_lane_the_checkpoint_is_the_one_that_it_was_given(tmp_path: Path) -> None:
    file = save_checkpoint(tmp_path, "3-1-4", {"epoch": 4})
    lane = FakeLane(checkpoint=str(file.path))
    trial = Trial(params={}, lane=lane, metric="val_loss")
    assert trial.checkpoint.load() == {"epoch": 4}
    trial.report(step=5, val_loss=1.0)
    trial.checkpoint.save(lambda: {"epoch": 5})
    assert lane.saved == [(5, {"epoch": 5})]


def test_alone_a_folder_is_saved_and_restored(tmp_path: Path) -> None:
    first = Trial(params={}, dir=tmp_path)
    folder = first.checkpoint.folder()
    assert (folder, list(folder.iterdir())) == (tmp_path / "checkpoint", [])
    (folder / "weights.bin").write_bytes(b"1")
    first.report(loss=1.0)
    first.checkpoint.save({"replaced": True})
    first.checkpoint.save(folder)
    (folder / "weights.bin").write_bytes(b"later")
    second = Trial(params={}, dir=tmp_path)
    restored = second.checkpoint.folder()
    assert [(path.name, path.read_bytes()) for path in restored.iterdir()] == [
        ("weights.bin", b"1")
    ]
    assert second.checkpoint.folder() == restored


def test_a_folder_is_emptied_at_a_trials_beginning(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "of an earlier attempt").touch()
    trial = Trial(params={}, lane=FakeLane(), dir=tmp_path)
    assert list(trial.checkpoint.folder().iterdir()) == []


def test_a_restored_folder_counts_on_from_its_step(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    trial, lane = _trial(dir=tmp_path / "trial")
    lane.checkpoint = str(save_checkpoint(tmp_path, "x", state).path)
    lane.from_step, lane.last_value = 3, 0.25
    trial.checkpoint.folder()
    trial.report(val_loss=0.2)
    assert lane.reported == [(4, {"val_loss": 0.2})]
    trial.checkpoint.save(lambda: state)
    assert lane.saved == [(4, state)]


def test_a_state_of_the_other_kind_is_a_mistake(tmp_path: Path) -> None:
    tree = Trial(params={}, lane=FakeLane(checkpoint=str(save_checkpoint(tmp_path, "t", {}).path)))
    with pytest.raises(Mistake, match=r"call trial\.checkpoint\.load\(\)"):
        tree.checkpoint.folder()
    (tmp_path / "state").mkdir()
    file = save_checkpoint(tmp_path, "f", tmp_path / "state")
    folder = Trial(params={}, lane=FakeLane(checkpoint=str(file.path)))
    with pytest.raises(Mistake, match=r"call trial\.checkpoint\.folder\(\)"):
        folder.checkpoint.load()


_USES: dict[str, Callable[[Trial], object]] = {
    "folder": lambda trial: trial.checkpoint.folder(),
    "path": lambda trial: trial.checkpoint.save(trial.dir),
    "function": lambda trial: trial.checkpoint.save(lambda: trial.dir),
}


@pytest.mark.parametrize("use", _USES)
def test_without_trust_the_first_use_of_a_folder_is_a_mistake(tmp_path: Path, use: str) -> None:
    trial, lane = _trial(dir=tmp_path)
    lane.trusts_folders = False
    with pytest.raises(Mistake, match=r"add `checkpoints: \{folders: trusted\}`"):
        _USES[use](trial)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("returned", "value"), [(0.25, 0.25), (1, 1.0), (np.float32(0.5), 0.5)])
def test_a_returned_number_is_the_value(returned: Any, value: float) -> None:
    trial, _ = _trial()
    assert check_return(returned, trial, "val_loss") == value


def test_without_a_return_the_last_report_is_the_value() -> None:
    trial, _ = _trial()
    trial.report(val_loss=0.1)
    trial.report(val_loss=0.7)
    assert check_return(None, trial, "val_loss") == 0.7


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (
            None,
            "it returned None and reported nothing; return val_loss as a float, or call "
            "trial.report(val_loss=...)",
        ),
        (torch.tensor(1.0), "it returned a Tensor; return it as a float, with .item()"),
        ({"val_loss": 1.0}, "it returned a dict; return a float"),
        ("0.5", "it returned a str; return a float"),
        (True, "it returned a bool; return a float"),
    ],
)
def test_any_other_return_is_a_mistake(returned: Any, sentence: str) -> None:
    trial, _ = _trial()
    with pytest.raises(Mistake) as caught:
        check_return(returned, trial, "val_loss")
    assert str(caught.value) == sentence


def _resumed(tmp_path: Path, **about: Any) -> tuple[Trial, FakeLane]:
    """A trial that was released after step 3, where the metric was 0.25."""
    file = save_checkpoint(tmp_path, "state", {"epoch": 3})
    trial, lane = _trial(**about)
    lane.from_step, lane.last_value = 3, 0.25
    lane.checkpoint = str(file.path)
    return trial, lane


def test_after_loading_its_state_a_trial_counts_on_from_there(tmp_path: Path) -> None:
    trial, lane = _resumed(tmp_path)
    assert trial.checkpoint.load() == {"epoch": 3}
    assert trial.step == 3
    trial.report(val_loss=0.2)
    assert lane.reported == [(4, {"val_loss": 0.2})]


def test_steps_that_the_loaded_state_knows_are_not_sent_again(tmp_path: Path) -> None:
    trial, lane = _resumed(tmp_path)
    trial.checkpoint.load()
    trial.report(step=3, val_loss=0.9)
    trial.report(step=4, val_loss=0.2)
    assert lane.reported == [(4, {"val_loss": 0.2})]


def test_a_trial_that_was_released_at_its_end_has_its_last_value(tmp_path: Path) -> None:
    trial, _ = _resumed(tmp_path)
    trial.checkpoint.load()  # and then no epoch is left to train
    assert check_return(None, trial, "val_loss") == 0.25


def test_a_trial_that_does_not_load_its_state_begins_anew(tmp_path: Path) -> None:
    trial, lane = _resumed(tmp_path)
    trial.report(val_loss=0.8)
    assert lane.reported == [(1, {"val_loss": 0.8})]
    other, _ = _resumed(tmp_path)
    with pytest.raises(Mistake, match="reported nothing"):
        check_return(None, other, "val_loss")


def test_a_metric_without_its_name_is_a_mistake() -> None:
    trial, lane = _trial()
    with pytest.raises(Mistake, match=r"call trial.report\(step=..., val_loss=...\)"):
        trial.report(1, 0.5)
    assert not lane.reported


class LeavingLane(FakeLane):
    """A lane whose process would end when the code goes on."""

    def __init__(self, *verdicts: Verdict) -> None:
        super().__init__(*verdicts)
        self.left: list[tuple[Verdict, str, Mapping[str, object]]] = []

    def leave(self, verdict: Verdict, message: str, facts: Mapping[str, object]) -> None:
        self.left.append((verdict, message, dict(facts)))


@pytest.mark.parametrize("verdict", [Verdict.PRUNE, Verdict.RELEASE, Verdict.DROP])
@pytest.mark.parametrize("call", ["report", "save", "should_prune"])
def test_code_that_swallows_its_end_is_ended_at_its_next_call(verdict: Verdict, call: str) -> None:
    lane = LeavingLane(Verdict.CONTINUE, verdict)
    trial = Trial(params={}, metric="loss", lane=lane)
    trial.set_user_attr("seen", 1)
    for _ in range(2):
        with suppress(BaseException):
            trial.report(loss=1.0)
    assert lane.left == []
    with pytest.raises(TrialEnd):
        {
            "report": lambda: trial.report(loss=0.5),
            "save": lambda: trial.checkpoint.save({}),
            "should_prune": trial.should_prune,
        }[call]()
    assert lane.left == [(verdict, SWALLOWED, {"seen": 1})]
    assert [step for step, _ in lane.reported] == [1, 2], "the report after the verdict is not sent"


def test_an_optuna_objective_that_reports_on_after_its_verdict_is_ended() -> None:
    lane = LeavingLane(Verdict.PRUNE, Verdict.PRUNE)
    trial = Trial(params={}, metric="loss", lane=lane)
    trial.report(0.5, 0)
    assert trial.should_prune()
    with pytest.raises(TrialPruned):
        trial.report(0.25, 1)
    assert lane.left == [(Verdict.PRUNE, IGNORED, {})]
    assert lane.reported == [(1, {"loss": 0.5})]


def test_an_optuna_objective_that_never_asks_is_not_told() -> None:
    lane = LeavingLane(*[Verdict.PRUNE] * 3)
    trial = Trial(params={}, metric="loss", lane=lane)
    for step in range(3):
        trial.report(0.5, step)
    assert (len(lane.reported), lane.left) == (3, [])


def test_threads_report_one_after_the_other() -> None:
    trial, lane = _trial()
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        for _ in range(50):
            trial.report(val_loss=1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [step for step, _ in lane.reported] == list(range(1, 201))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.bool_(True), True),
        (np.int8(3), 3),
        (np.uint64(2**63), 2**63),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.array(0.5, dtype=np.float32), 0.5),
        (np.array(7), 7),
        (np.array(True), True),
    ],
)
def test_numpys_scalars_are_attributes_metrics_and_return_values(value: Any, plain: Any) -> None:
    trial, lane = _trial()
    trial.set_user_attr("a", value)
    assert (trial.user_attrs["a"], type(trial.user_attrs["a"])) == (plain, type(plain))
    trial.report(val_loss=value)
    assert lane.reported == [(1, {"val_loss": float(plain)})]
    assert type(lane.reported[0][1]["val_loss"]) is float
    returned = check_return(value, trial, "val_loss")
    assert (returned, type(returned)) == (float(plain), float)


def test_attributes_are_plain_json_whatever_they_were() -> None:
    trial, _ = _trial()
    trial.set_user_attr("text", np.str_("x"))
    trial.set_user_attr("day", np.datetime64("2026-11-30"))
    trial.set_user_attr("span", np.timedelta64(3, "s"))
    trial.set_user_attr("none", None)
    trial.set_user_attr("tree", {"sizes": (np.int64(3), 4), "is_new": np.False_})
    assert trial.user_attrs == {
        "text": "x",
        "day": "2026-11-30",
        "span": "3 seconds",
        "none": None,
        "tree": {"sizes": [3, 4], "is_new": False},
    }
    assert json.loads(json.dumps(trial.user_attrs)) == trial.user_attrs


def test_what_is_no_number_to_python_is_none_from_numpy_either() -> None:
    for value in (
        np.complex64(1),
        np.str_("0.5"),
        np.datetime64("2026-11-30"),
        np.timedelta64(3, "s"),
    ):
        trial, _ = _trial()
        with pytest.raises(Mistake, match="not a number"):
            trial.report(val_loss=value)
        with pytest.raises(Mistake, match="it returned a"):
            check_return(value, trial, "val_loss")


def test_a_number_beyond_all_floats_is_infinite() -> None:
    trial, _ = _trial()
    with pytest.raises(TrialDropped):
        trial.report(val_loss=10**400)


def test_attributes_that_are_too_long_or_too_many_are_dropped_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trial, _ = _trial()
    trial.set_user_attr("long", "x" * (MAX_ATTRIBUTE + 1))
    trial.set_user_attr("list", list(range(MAX_ATTRIBUTE)))
    trial.set_user_attr("digits", 10**9999)
    trial.set_user_attr("k" * (MAX_NAME + 1), 1)
    trial.set_user_attr("fits", "x" * MAX_ATTRIBUTE)
    for number in range(MAX_ATTRIBUTES):
        trial.set_user_attr(f"a{number}", number)
    trial.set_user_attr("fits", "again")
    assert len(trial.user_attrs) == MAX_ATTRIBUTES
    assert trial.user_attrs["fits"] == "again"
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "attribute long is dropped: it is longer than 2000 characters",
        "attribute list is dropped: it is longer than 2000 characters",
        "attribute digits is dropped: it is longer than 2000 characters",
        f"attribute {'k' * MAX_NAME} is dropped: its name is longer than 64 characters",
        f"attribute a{MAX_ATTRIBUTES - 1} is dropped: the trial has {MAX_ATTRIBUTES} of them",
    ]
