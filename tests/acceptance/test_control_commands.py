"""Steering a study from another terminal, and reading what became of its trials."""

import os
import re
import select
import signal
import socket

import pytest

from tests.acceptance.command import (
    LIGHT,
    ROOT,
    SECONDS,
    wait_until,
    write_light_study,
    write_study,
)

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LONG = {"params": "{epochs: 3000}", "budget": "{trials: 3}", "checkpoints": "{every: 1s}"}


def _counts(tuner):
    status = tuner.look("status", "plain", "--json", code=None)
    return status.json["counts"] if status.code == 0 else {}


def test_pause_resume_and_stop_reach_the_agent(tuner, tmp_path):
    file = write_light_study(tmp_path, seconds=0.05, **LONG)
    run = tuner.start("run", file, "--workers", 2, **LIGHT)
    wait_until(lambda: _counts(tuner).get("RUNNING") == 2, "both workers train")
    paused = tuner.look("pause", "plain", "--reason", "lunch")
    assert re.search(r"plain: paused \(paused by .*@.*: lunch\)", paused.out)
    assert "next: tuner resume plain" in paused.out
    wait_until(lambda: _counts(tuner)["RELEASED"] == 2, "the trials are released")
    assert tuner.look("status", "plain", "--json").json["state"] == "paused"

    assert "1 agent at work" in tuner.look("resume", "plain").out
    wait_until(lambda: _counts(tuner)["RUNNING"] == 2, "the trials go on")
    stopped = tuner.look("stop", "plain", "--reason", "enough")
    assert "its agent ends them" in stopped.out
    ended = tuner.finish(run)
    assert ended.code in (0, 5)
    trials = tuner.look("trials", "plain", "--json").json
    assert {trial["state"] for trial in trials} == {"PRUNED"}
    assert all("enough" in trial["reason"] for trial in trials)
    page = tuner.look("status", "plain").out
    assert re.search(r"^plain: stopped, 2 of 3 trials.*: enough\)$", page, re.M)


def test_a_drained_machine_trains_nothing_until_it_is_undrained(tuner, tmp_path):
    host = socket.gethostname()
    file = write_light_study(tmp_path, seconds=0.05, failures="{lease: 3s}", **LONG)
    run = tuner.start("run", file, "--workers", 2, **LIGHT)
    wait_until(lambda: _counts(tuner).get("RUNNING") == 2, "both workers train")
    tuner.look("drain", "plain", host, "--device", "cpu:1")
    wait_until(lambda: _counts(tuner)["RELEASED"] == 1, "one trial is released")
    assert _counts(tuner)["RUNNING"] == 1
    refused = tuner.look("drain", "plain", host, code=2).err
    assert "no other machine works on study 'plain', whose trials would wait; add --yes" in refused
    drained = tuner.look("drain", "plain", host, "--reason", "service", "--yes").out
    assert f"next: tuner undrain plain {host} lets it work again" in drained
    wait_until(lambda: _counts(tuner)["RELEASED"] == 2, "the other as well")
    tuner.stop(run, signal.SIGINT)

    run = tuner.start("run", file, "--workers", 2, **LIGHT)
    wait_until(lambda: _agent_state(tuner) == "drained", "the new agent knows it")
    page = tuner.look("status", "plain").out
    assert re.search(
        rf"^  {host}  by .*, role .* UTC \(service\); tuner undrain plain {host}$", page, re.M
    )
    counts = _counts(tuner)
    assert (counts["RUNNING"], counts["RELEASED"]) == (0, 2)
    tuner.look("undrain", "plain", host)
    wait_until(lambda: _counts(tuner)["RUNNING"] == 2, "both trials continue")
    tuner.look("stop", "plain")
    assert tuner.finish(run).code in (0, 5)
    assert "released: drained by" in tuner.look("show", "plain", "0").out


def _agent_state(tuner):
    agents = tuner.look("status", "plain", "--json").json["agents"]
    return agents[-1]["activity"]["state"]


def test_an_idle_study_is_stopped_at_once_and_can_go_on(tuner, tmp_path):
    file = write_light_study(tmp_path, seconds=0.05, **LONG)
    run = tuner.start("run", file, "--workers", 2, **LIGHT)
    wait_until(lambda: _counts(tuner).get("RUNNING") == 2, "both workers train")
    tuner.stop(run, signal.SIGINT)
    assert re.search(r"ended here.*: trials 0, 1$", tuner.look("stop", "plain").out, re.M)
    assert "was stopping already" in tuner.look("stop", "plain").out
    assert tuner.look("pause", "plain", code=2).err.count("\n") == 1
    assert "no agent is at work; tuner run" in tuner.look("resume", "plain").out


def test_more_trials_and_trials_of_ones_own(own_finished, tmp_path):
    tuner, file = own_finished, write_study(tmp_path)
    assert "has ended already" in tuner.look("stop", "plain").out
    refused = tuner.look("pause", "plain", code=2).err
    assert "nothing to pause; tuner extend plain continues it\n" in refused
    assert refused.count("\n") == 1
    extended = tuner.look("extend", "plain", "--trials", "+2", "--time", "12h")
    assert "  trials  2 -> 4\n  time  none -> 12 h 0 min\n" in extended.out
    assert "next: no agent is at work; tuner run --study plain on any" in extended.out
    enqueued = tuner.look("enqueue", "plain", "learning_rate=0.05", "--json").json
    assert (enqueued["numbers"], enqueued["n_left"]) == ([2], 2)
    (waiting,) = tuner.look("trials", "plain", "--state", "waiting", "--json").json
    assert waiting["number"] == 2
    tuner("run", file, "--workers", 1)
    trials = tuner.look("trials", "plain", "--json").json
    assert len(trials) == 4
    assert trials[2]["params"] == {"learning_rate": 0.05}
    found = tuner.look("trials", "plain", "--where", "learning_rate=0.05", "--csv").out
    assert found.count("\n") == 2


def test_a_failed_trial_is_shown_and_tried_again(tuner, tmp_path):
    space = "{learning_rate: {float: [1e308, 1.1e308]}}"
    file = write_light_study(tmp_path, search_space=space)
    code = (tmp_path / "train.py").read_text()
    (tmp_path / "train.py").write_text(code.replace("/ step)", "* 10)"))  # infinity
    tuner("run", file, "--workers", 1, code=5, **LIGHT)
    page = tuner.look("show", "plain", 0)
    assert "plain trial 0: FAIL" in page.out
    assert re.search(r"^ +1  .* fail", page.out, re.M)
    assert tuner.look("show", "plain", 0, "--json").json["failure"] == "non_finite"
    retried = tuner.look("retry", "plain", "--failed")
    assert "trial 2: tries trial 0 again" in retried.out
    assert "the limit is now 4 trials" in retried.out
    assert "tried again as trial 2" in tuner.look("show", "plain", 0).out
    assert "being retried already" in tuner.look("retry", "plain", 0, code=2).err
    tuner("run", file, "--workers", 1, code=5, **LIGHT)
    trials = tuner.look("trials", "plain", "--json").json
    assert [trial["retry_of"] for trial in trials] == [None, None, 0, 1]
    assert trials[2]["params"] == trials[0]["params"]


def test_a_study_is_deleted_only_when_one_is_sure(own_finished):
    tuner = own_finished
    assert "--yes" in tuner("delete", "plain", code=2).err  # nothing to read an answer from
    assert tuner.look("delete", "plain", "--yes").out.startswith("deleted plain with 2 trials\n")
    assert "no study" in tuner.look("show", "plain", 0, code=3).err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("stop", "plane"), 3, "did you mean 'plain'?"),
        (("show", "plain", "99"), 3, "has no trial 99"),
        (("logs", "plain", "99"), 3, "has no trial 99"),
        (("logs", "plain", "0", "--attempt", "7"), 3, "no attempt 7"),
        (("retry", "plain", "99"), 3, "has no trial 99"),
        (("retry", "plain", "0"), 2, "tuner enqueue plain NAME=VALUE ... trains its params in a"),
        (("retry", "plain"), 2, "--failed"),
        (("retry", "plain", "0", "--failed"), 2, "--failed"),
        (("extend", "plain"), 2, "--trials"),
        (("extend", "plain", "--trials", "1"), 2, "used already"),
        (("extend", "plain", "--trials", "many"), 2, "such as 200 or +50"),
        (("extend", "plain", "--time", "+1h"), 2, "no such limit"),
        (("enqueue", "plain"), 2, "name=value"),
        (("enqueue", "plain", "learning_rate"), 2, "write name=value"),
        (("enqueue", "plain", "lerning_rate=1"), 2, "did you mean learning_rate?"),
        (("enqueue", "plain", "learning_rate=7"), 2, "is not in [0.001, 0.1]"),
        (("enqueue", "plain", "learning_rate=1e-2", "learning_rate=1"), 2, "given twice"),
        (("enqueue", "plain", "epochs=9"), 2, "is fixed at 3"),
        (("enqueue", "plain", "--file", "/nowhere.yaml"), 2, "no such file"),
        (("trials", "plain", "--where", "lr<1"), 2, "no field 'lr'"),
        (("trials", "plain", "--where", "learning_rate<"), 2, "character 15"),
        (("trials", "plain", "--sort", "nothing"), 2, "no field"),
        (("trials", "plain", "--state", "done"), 2, "no state 'DONE'"),
        (("trials", "plain", "--csv", "--json"), 2, "not allowed with"),
        (("status", "--watch"), 2, "--watch needs a study"),
        (("status", "plain", "--watch", "--every", "0"), 2, "number of seconds"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(finished, arguments, code, words):
    refused = finished.look(*arguments, code=code)
    assert words in refused.err
    assert refused.out == ""


@pytest.mark.parametrize("locale", [{}, ASCII], ids=["utf8", "ascii"])
def test_a_trial_is_shown_at_any_width_and_in_ascii(finished, locale):
    for columns in ("20", "80", "200"):
        page = finished("show", "plain", 0, COLUMNS=columns, **locale)
        assert "plain trial 0: COMPLETE" in page.out
        assert "\\u" not in page.out


def test_the_watch_of_a_finished_study_ends_at_once(finished):
    assert "plain: finished" in finished("status", "plain", "--watch").out


def test_a_new_machine_is_told_what_to_do_and_no_database_is_made(fresh_tuner, fresh_home):
    assert fresh_tuner("status").out == "no study yet; tuner run STUDY.yaml makes one\n"
    assert fresh_tuner.look("status", "--json").json == []
    for command in (("status", "a"), ("trials", "a"), ("show", "a", "0"), ("stop", "a")):
        assert "no study yet" in fresh_tuner.look(*command, code=3).err
    doctor = fresh_tuner("doctor")
    assert re.search(r"^database +ok +embedded, not made yet", doctor.out, re.M)
    assert not (fresh_home / "postgres").exists()


def test_the_doctor_looks_at_the_database(finished):
    findings = {line["what"]: line["verdict"] for line in finished("doctor", "--json").json}
    assert {"python", "torch", "devices", "database", "schemas", "rights"} <= findings.keys()
    assert findings["schemas"] == findings["rights"] == "ok"
    away = finished.look("doctor", "--storage", "postgresql://u@127.0.0.1:1/n", code=1)
    assert re.search(r"^database +fail +cannot reach", away.out, re.M)


def test_the_doctor_names_a_check_before_it_runs(fresh_tuner, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    hangs = f"open({str(gate)!r}).read()\nraise ImportError('no driver')\n"
    (tmp_path / "torch.py").write_text(hangs)
    doctor = fresh_tuner.start("doctor", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    shown = b""
    while not shown.endswith(b"torch      "):
        readable, _, _ = select.select([doctor.stdout], [], [], SECONDS)
        more = os.read(doctor.stdout.fileno(), 4096) if readable else b""
        assert more, f"nothing more after {shown!r}"
        shown += more
    assert re.fullmatch(rb"python +ok .*\ntorch +", shown)
    gate.write_text("")  # the check may end now
    ended = fresh_tuner.finish(doctor)
    assert ended.code == 1
    assert ended.out.startswith("fail  ImportError: no driver\n")
    assert re.search(r"^database +ok ", ended.out, re.M)


def test_from_an_empty_folder_to_a_finished_study(tuner, tmp_path):
    folder = tmp_path / "first"
    assert "next: tuner check" in tuner.look("init", folder).out
    assert "first: valid" in tuner.look("check", folder / "study.yaml").out
    ended = tuner("run", folder / "study.yaml", "--set", "budget.trials=4", "--workers", 1)
    assert "first: finished, 4 of 4 trials" in ended.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(tuner, shell):
    assert "_ARGCOMPLETE" in tuner("completion", shell).out
