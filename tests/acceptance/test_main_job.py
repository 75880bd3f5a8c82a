"""`tuner run` on every example study, and the commands that show what came out."""

import json
import re

import pytest

from tests.acceptance.command import LIGHT, STUDIES, smoke, write_light_study, write_study

EXAMPLES = sorted(path.stem for path in STUDIES.glob("*.yaml"))


def test_there_are_example_studies():
    assert {"digits", "digits-random", "diabetes"} <= set(EXAMPLES)


OF_OTHER_TESTS = {"conditional", "digits-grid"}  # which `test_examples.py` runs as well


@pytest.mark.parametrize(
    "study",
    [
        pytest.param(name, marks=[pytest.mark.long] if name in OF_OTHER_TESTS else [])
        for name in EXAMPLES
    ],
)
def test_every_example_study_runs_to_its_end(tuner, tmp_path, study):
    file = smoke(study, tmp_path)
    finished = tuner("run", file, "--workers", 1)
    assert f"{study}: finished, 4 of 4 trials in" in finished.out
    assert re.search(r"^best trial \d: val_\w+ [\d.e-]+ \(train_loss", finished.out, re.M)
    assert f"tuner best {study}" in finished.out
    assert f"new study {study} (4 trials)" in finished.err
    ends = re.findall(r"^trial (\d): (?:complete|pruned)", finished.err, re.M)
    assert sorted(ends) == ["0", "1", "2", "3"]
    states = {trial["state"] for trial in tuner.look("trials", study, "--json").json}
    assert states <= {"COMPLETE", "PRUNED"}


def test_a_second_run_says_finished_and_adds_nothing(own_finished, tmp_path):
    tuner, file = own_finished, write_study(tmp_path)
    before = tuner.look("trials", "plain", "--json").json
    again = tuner("run", file, "--workers", 2)
    assert "joining study plain (2 trials)" in again.err
    assert "plain: finished, 2 of 2 trials" in again.out
    assert tuner.look("trials", "plain", "--json").json == before


def test_the_reading_commands_agree(tuner, tmp_path):
    tuner("run", smoke("digits", tmp_path, trials=6), "--workers", 1)

    trials = tuner.look("trials", "digits", "--json").json
    assert [trial["number"] for trial in trials] == list(range(6))
    complete = [trial for trial in trials if trial["state"] == "COMPLETE"]
    best_trial = min(complete, key=lambda trial: trial["value"])

    best = tuner.look("best", "digits", "--json").json
    assert best["number"] == best_trial["number"]
    assert best["value"] == best_trial["value"]
    assert best["params"] == {**best_trial["params"], "epochs": 3, "width": 64}

    status = tuner.look("status", "digits", "--json").json
    assert status["finished"]
    assert not status["active"]
    assert sum(status["counts"].values()) == 6
    assert sum(status["steps"].values()) == sum(trial["steps"] for trial in trials)
    assert status["best"] == best_trial
    assert [agent["left"] for agent in status["agents"]] == [True]
    (row,) = tuner.look("status", "--json").json
    assert row["name"] == "digits"

    text = tuner("best", "digits")  # a process, as all of these are for a user
    assert f"best trial {best['number']}: val_loss" in text.out
    assert re.search(r"^  epochs +3$", text.out, re.M)
    table = tuner.look("trials", "digits").out.splitlines()
    assert table[0].split()[:4] == ["trial", "state", "val_loss", "epochs"]
    assert [line.split()[0] for line in table[1:]] == list("012345")
    assert "digits: finished, 6 of 6 trials" in tuner.look("status", "digits").out
    assert re.search(r"^digits +finished +6/6 +minimize val_loss", tuner.look("status").out, re.M)
    assert text.err == ""


def test_without_a_study_status_says_how_to_make_one(tuner):
    assert "tuner run STUDY.yaml" in tuner("status").out
    assert tuner.look("status", "--json").json == []


def test_run_with_json_prints_one_object_a_line(tuner, tmp_path):
    finished = tuner("run", smoke("digits", tmp_path), "--workers", 1, "--json")
    events = [json.loads(line) for line in finished.out.splitlines()]
    names = [event["event"] for event in events]
    assert names[0] == "StudyJoined"
    assert names[-1] == "Summary"
    assert names.count("TrialStarted") == names.count("TrialEnded") == 4
    assert events[-1]["finished"]
    assert finished.err == ""


def test_two_agents_share_the_work_and_the_budget_is_exact(tuner, tmp_path):
    file = write_light_study(tmp_path, seconds=0.2, budget="{trials: 12}")
    agents = [tuner.start("run", file, "--workers", 2, **LIGHT) for _ in range(2)]
    ends = [tuner.finish(agent) for agent in agents]
    assert [end.code for end in ends] == [0, 0]
    assert sum("new study" in end.err for end in ends) == 1

    trials = tuner.look("trials", "plain", "--json").json
    assert [trial["number"] for trial in trials] == list(range(12))
    assert {(trial["state"], trial["attempt"]) for trial in trials} == {("COMPLETE", 1)}
    told = [set(re.findall(r"^trial (\d+): complete", end.err, re.M)) for end in ends]
    assert all(told)
    assert len(told[0]) + len(told[1]) == len(told[0] | told[1]) == 12
