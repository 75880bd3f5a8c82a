"""A study's summary as text and as JSON."""

import json
import re
from dataclasses import replace

from tests.unit.cli.builders import NOON, agent, counts, failure, study, summary, trial
from tuner.cli.commands.best import best_json
from tuner.cli.commands.best import render as render_best_command
from tuner.cli.commands.show import render_page
from tuner.cli.commands.trials import render_trials
from tuner.cli.text.confirmation import (
    confirmation_json,
    confirmed_json,
    render_confirmation,
    render_confirmed,
)
from tuner.cli.text.fleet import render_fleet
from tuner.cli.text.status import render_status, render_studies
from tuner.cli.text.summary import (
    render_best,
    render_failures,
    render_headline,
    render_times,
    summary_json,
)
from tuner.results.best import By
from tuner.results.confirmation import Candidate, Confirmation, rank
from tuner.results.progress import is_active, is_finished
from tuner.results.trial_page import AttemptStory, TrialPage
from tuner.storage.reading.failures import SharedParam
from tuner.study.activity import Activity, DeviceActivity, LaneActivity
from tuner.study.suggestion import SuggestedBy
from tuner.study.trial import Direction, TrialState


def test_a_finished_study_says_how_long_it_took():
    assert render_headline(summary()) == "digits: finished, 100 of 100 trials in 1 min 15 s"


def test_a_study_with_an_agent_is_running_and_without_one_idle():
    running = summary(counts=counts(COMPLETE=3, RUNNING=2), agents=(agent(),))
    assert render_headline(running) == "digits: running, 3 of 100 trials"
    for gone in (agent(left_at=NOON), agent(silent_seconds=31.0)):
        stopped = summary(counts=counts(COMPLETE=3, RELEASED=2), agents=(gone,))
        assert not is_active(stopped)
        assert render_headline(stopped) == "digits: idle, 3 of 100 trials"


def test_a_study_is_finished_when_nothing_is_open():
    assert is_finished(summary())
    assert not is_finished(summary(counts=counts(COMPLETE=100, RUNNING=1)))
    assert not is_finished(summary(counts=counts(COMPLETE=100, RELEASED=1)))
    assert not is_finished(summary(counts=counts(COMPLETE=99)))


def test_the_times_tell_where_epochs_went_and_what_pruning_saved():
    assert render_times(summary()).split("\n") == [
        "  trials         epochs  device seconds",
        "  complete   20     200            10.0",
        "  pruned     80     800            40.0",
        "  failed      0       0             0.0",
        "  all       100   1,000            50.0",
        "  pruning saved 1,360 epochs (50 % of a full search)",
    ]


def test_released_trials_are_named_by_their_state():
    assert "  released  2 " in render_times(summary(counts=counts(RELEASED=2)))


def test_nothing_is_said_of_times_before_the_first_trial():
    assert render_times(summary(counts={})) == ""


def test_the_best_trial_comes_with_its_metrics_and_params():
    assert render_best(summary()).split("\n") == [
        "best trial 3: val_loss 0.25 (train_loss 0.125, epoch 26), not confirmed",
        "  learning_rate  0.012346",
        "  n_layers       3",
    ]


def test_a_best_trial_by_its_value_that_is_the_confirmed_one_is_confirmed():
    winner, other = (
        Candidate(trial=n, params={}, search_value=0.25, values=values, n_failed=0, n_open=0)
        for n, values in ((3, (0.3, 0.4)), (7, (0.5, 0.6)))
    )
    for first, standing in ((winner, "confirmed"), (replace(winner, trial=5), "not confirmed")):
        confirmation = _confirmation(candidates=(first, other))
        asked = summary(best_by=By.VALUE, confirmation=confirmation)
        assert asked.standing == standing
        expected = "0.25 found; expect 0.35 ± 0.071 (trial 3)"
        if standing == "not confirmed":
            expected = "not confirmed yet: tuner confirm digits"
        assert asked.expectation == expected


def test_a_best_trial_of_another_program_may_lack_everything():
    bare = summary(best=trial(3, params={}, user_attrs={}))
    assert render_best(bare) == "best trial 3: val_loss 0.25, not confirmed"
    told = summary(best=trial(3, params={}, user_attrs={}, reason="ended by an Optuna client"))
    assert "val_loss 0.25, ended by an Optuna client" in render_best(told)


def test_what_others_wrote_does_not_steer_the_terminal():
    evil = summary(
        best=trial(3, params={"a\x1b[2J": "b\x1b"}, user_attrs={"c\x1b": "d\x1b"}),
        failures=(failure("boom\x1b[31m"),),
        agents=(agent(host="evil\x1b]0;"),),
        counts=counts(COMPLETE=1),
    )
    assert "\x1b" not in render_status(evil)
    assert "\x1b" not in render_trials(
        "val_loss", [trial(params={"x\x1b": 1}, reason="y\x1b")], "epochs"
    )


def test_without_a_complete_trial_there_is_no_best():
    assert render_best(summary(best=None)) == "no COMPLETE trial"
    working = summary(best=None, counts=counts(COMPLETE=0, RUNNING=1))
    assert render_best(working) == "no COMPLETE trial yet"


def test_failures_are_counted_by_reason():
    shared = (
        SharedParam(name="optimizer", low="sgd", high="sgd"),
        SharedParam(name="learning_rate", low=0.03125, high=0.1),
    )
    failures = (
        failure("val_loss is nan at step 1", 30, shared=shared, host="box", device="gpu:1"),
        failure("out of memory"),
    )
    agents = (agent(devices=("gpu:0", "gpu:1")),)
    assert render_failures(summary(failures=failures, agents=agents)).split("\n") == [
        "failures",
        "  30 x val_loss is nan at step 1 (trials 0, 1, 2, 3, 4, 5, 6, 7, ...)",
        "      all with optimizer=sgd, learning_rate from 0.03125 to 0.1 on box gpu:1",
        "  1 x out of memory (trial 0)",
    ]
    assert render_failures(summary()) == ""


def test_kinds_of_failures_beyond_the_first_ten_are_counted():
    failures = tuple(failure(f"reason {letter}") for letter in "abcdefghijkl")
    lines = render_failures(summary(failures=failures)).split("\n")
    assert lines[-2:] == ["  1 x reason j (trial 0)", "  and 2 more kinds; --json lists all"]


def test_the_fleet_is_shown_while_there_is_work():
    working = summary(counts=counts(RUNNING=2), agents=(agent(), agent(pid=43, left_at=NOON)))
    assert render_fleet(working).split("\n") == [
        "  agent  pid  workers  busy  trials  heartbeat",
        "  box     42        2  83 %  7, 8    1 s ago",
    ]
    assert render_fleet(summary(agents=(agent(),))) == ""


def test_a_device_that_trials_share_is_counted_and_shows_its_best_and_its_oldest():
    lanes = tuple(
        LaneActivity(
            device="cpu:0",
            trial=number,
            attempt=1,
            step=number,
            n_steps=27,
            value=1 / number,
            seconds=30.0 - number,
        )
        for number in (1, 2, 3)
    )
    numbers = tuple(range(1, 13))
    devices = (DeviceActivity(device="cpu:0", trials=numbers, seconds=9.0),)
    busy = agent(trials=numbers, activity=Activity(devices=devices, lanes=lanes))
    text = render_fleet(summary(counts=counts(RUNNING=12), agents=(busy,)))
    assert [line.split() for line in text.split("\n")][1:] == [
        ["box", "42", "2", "83", "%", "12", "from", "1", "to", "12", "1", "s", "ago"],
        [],
        ["device", "trial", "progress", "val_loss", "for"],
        ["box", "cpu:0", "12", "lanes"],
        ["trial", "3", "(best)", "epoch", "3", "of", "27", "0.33333", "27.0", "s"],
        ["trial", "1", "(oldest)", "epoch", "1", "of", "27", "1.0", "29.0", "s"],
        ["trial", "2", "epoch", "2", "of", "27", "0.5", "28.0", "s"],
    ]


def test_a_trials_page_says_with_how_many_others_it_shared_its_device():
    text = render_page(page(n_beside=11.4), 80)
    assert "trial 3: COMPLETE  val_loss 0.25  epoch 27  2.5 s of device time" in text
    head, row = text.split("\n")[-2:]
    assert head.split()[:5] == ["attempt", "where", "shared", "with", "began"]
    assert re.search(r"box cpu:0  11 others +2026", row)
    assert "shared with" not in render_page(page(n_beside=0.4), 80), "it had its device for itself"


def test_tables_fit_a_narrow_terminal():
    attempts = render_page(page(n_beside=11.4), 40, table_width=40).split("\n\n")[-3:]
    assert [block.split("\n")[0].split()[:2] for block in attempts] == [
        ["attempt", "where"],
        ["attempt", "began"],
        ["attempt", "end"],
    ]
    working = summary(counts=counts(RUNNING=2), agents=(agent(),))
    pages = (*attempts, render_fleet(working, 40), render_confirmation(_confirmation(), 40))
    tables = [line for text in pages for line in text.split("\n") if line.startswith("  ")]
    assert max(map(len, tables)) <= 40
    assert "\n\n" not in render_fleet(working)
    assert "\n\n" not in render_confirmation(_confirmation())


def page(**about):
    story = AttemptStory(
        attempt=1,
        host="box",
        device="cpu:0",
        started_at=NOON,
        ended_at=NOON,
        how="complete",
        detail="",
        **about,
    )
    return TrialPage(
        study=study(),
        trial=trial(3, device_seconds=2.5, user_attrs={}),
        fixed_params={},
        n_steps_full=None,
        step_noun="epoch",
        curve={},
        attempts=[story],
        decisions=[],
        logs=[],
        retried_by={},
        sampler="mixed",
        suggested_by=SuggestedBy.MODEL,
        diagnosis=None,
    )


def test_all_studies_are_a_row_each():
    table = render_studies([summary(), summary(best=None, counts=counts(COMPLETE=1))])
    assert table.split("\n") == [
        "study   state     trials   goal               best  created",
        "digits  finished  100/100  minimize val_loss  0.25  2026-01-02 12:00 UTC",
        "digits  idle      1/100    minimize val_loss  -     2026-01-02 12:00 UTC",
    ]


def test_the_best_params_include_the_fixed_ones():
    assert render_best_command(summary()).split("\n")[-2:] == ["fixed", "  epochs  27"]
    document = best_json(summary())
    assert document["params"] == {"epochs": 27, "learning_rate": 0.0123456789, "n_layers": 3}
    assert (document["study"], document["metric"], document["number"]) == ("digits", "val_loss", 3)


def _confirmation(**changes: object) -> Confirmation:
    def candidate(number: int, *values: float, n_failed: int = 0, n_open: int = 0) -> Candidate:
        return Candidate(trial=number, params={"x": number}, search_value=0.1, values=values,
                         n_failed=n_failed, n_open=n_open)  # fmt: skip

    given = [candidate(3, 0.5, 0.6), candidate(9, 0.3, 0.31, 0.32), candidate(5, n_failed=3)]
    fields = {
        "name": "digits-confirm",
        "search": "digits",
        "metric": "val_loss",
        "direction": Direction.MINIMIZE,
        "n_seeds": 3,
        "candidates": rank(given, Direction.MINIMIZE),
    }
    return Confirmation(**{**fields, **changes})


def test_a_confirmation_is_told_beside_the_best_trial():
    found = _confirmation()
    share = 100 * found.winner.probability
    lines = [
        "confirmed best: trial 9, val_loss 0.31 +- 0.01 over 3 fresh seeds; probability of being "
        f"the best of 3: {share:.0f} %",
        "  next: tuner export digits --by confirmed -o best.yaml",
    ]
    confirmed = summary(confirmation=found)
    assert render_status(confirmed).split("\n")[-3:] == ["", *lines]
    assert render_best_command(confirmed).split("\n")[-2:] == lines
    told = best_json(confirmed)["confirmation"]
    assert summary_json(confirmed)["confirmation"] == told
    assert told == {
        "name": "digits-confirm",
        "search": "digits",
        "seeds": 3,
        "finished": True,
        "winner": 9,
        "mean": 0.31,
        "spread": found.winner.spread,
        "n_values": 3,
        "probability_best": found.winner.probability,
        "warning": None,
        "export": "tuner export digits --by confirmed -o best.yaml",
    }


def test_a_confirmation_whose_seeds_change_nothing_has_a_warning():
    alike = Candidate(trial=3, params={}, search_value=0.5, values=(0.5, 0.5), n_failed=0, n_open=0)
    found = _confirmation(candidates=(alike,), seed_advice="pass the seed with {seed}")
    warning = (
        "every seed gave the same value, so spread and probability mean nothing; "
        "if training has a random part, pass the seed with {seed}"
    )
    for shown in (render_confirmation(found), render_confirmed(found)):
        assert f"warning: {warning}" in shown
    for document in (confirmation_json(found), confirmed_json(found)["confirmation"]):
        assert document["warning"] == warning
    assert "warning" not in render_confirmation(_confirmation())


def test_a_confirmation_of_own_code_names_the_study_file():
    own = _confirmation(needs_study_file=True)
    command = "tuner export digits --by confirmed --file STUDY.yaml -o best.yaml"
    assert render_confirmed(own).endswith(f"next: {command}")
    assert confirmed_json(own)["confirmation"]["export"] == command
    known = "tuner export digits --by confirmed --file 'my study.yaml' -o best.yaml"
    assert render_confirmation(own, file="my study.yaml").endswith(f"next: {known}")
    assert "--file" not in render_confirmation(_confirmation(), file="my study.yaml")
    waiting = Candidate(trial=3, params={}, search_value=None, values=(), n_failed=0, n_open=2)
    assert "(tuner run STUDY.yaml --study digits-confirm)" in render_confirmed(
        _confirmation(candidates=(waiting,), needs_study_file=True)
    )


def test_a_confirmation_that_goes_on_says_so():
    waiting = Candidate(trial=3, params={}, search_value=None, values=(), n_failed=0, n_open=2)
    none = _confirmation(candidates=(waiting,))
    assert render_confirmed(none) == (
        "nothing is confirmed yet: 2 trainings to come (tuner run --study digits-confirm)"
    )
    assert confirmed_json(none)["confirmation"]["winner"] is None
    one = _confirmation(candidates=(replace(waiting, values=(0.5,), n_open=1),))
    assert render_confirmed(one).split("\n") == [
        "confirmed best: trial 3, val_loss 0.5 over 1 fresh seed",
        "  confirmed so far: 1 training to come (tuner run --study digits-confirm)",
        "  next: tuner export digits --by confirmed -o best.yaml",
    ]
    failed = _confirmation(candidates=(replace(waiting, n_failed=2, n_open=0),))
    assert render_confirmed(failed) == (
        "study digits-confirm has confirmed nothing: no training completed"
    )


def test_without_a_confirmation_nothing_is_said_of_one():
    shown = render_status(summary()) + render_best_command(summary())
    assert "onfirm" not in shown.replace(", not confirmed", "")
    assert "confirmation" not in best_json(summary())
    assert (render_confirmed(None), confirmed_json(None)) == ("", {})


def test_a_trial_without_value_or_param_leaves_its_cell_empty():
    trials = [
        trial(0, params={"a": 1}),
        trial(1, state=TrialState.FAIL, value=None, params={"b": "x"}, reason="out of memory"),
    ]
    assert render_trials("val_loss", trials, "epochs").split("\n") == [
        "trial  state     val_loss  epochs  a  b  reason",
        "    0  COMPLETE      0.25      27  1",
        "    1  FAIL                    27     x  out of memory",
    ]


def test_the_old_keys_of_a_summary_stand_next_to_the_new_ones():
    document = summary_json(summary(counts=counts(COMPLETE=3, RELEASED=2)))
    assert (document["counts"]["FREE"], document["counts"]["RELEASED"]) == (2, 2)
    assert (document["epochs"]["FREE"], document["steps"]["RELEASED"]) == (20, 20)
    assert sum(document["epochs"].values()) == sum(document["steps"].values())
    assert document["device_seconds"]["FREE"] == document["device_seconds"]["RELEASED"]
    assert document["epochs_saved_by_pruning"] == document["steps_saved_by_pruning"]


def test_the_summary_survives_json():
    document = json.loads(json.dumps(summary_json(summary(agents=(agent(),)))))
    zeros = dict.fromkeys(("FAIL", "RUNNING", "RELEASED", "FREE", "ELSEWHERE", "WAITING"), 0)
    assert document["counts"] == {"COMPLETE": 20, "PRUNED": 80, **zeros}
    assert document["finished"]
    assert document["steps_saved_by_pruning"] == 1360
    assert document["steps"]["PRUNED"] == 800
    assert document["best"]["started_at"] == "2026-01-02T12:00:00+00:00"
    assert document["agents"][0]["workers"] == ["cpu:0", "cpu:1"]
