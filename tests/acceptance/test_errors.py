"""Every way to go wrong ends with its exit code and a sentence, never with a traceback."""

import re
import subprocess

import pytest

from tests.acceptance.command import (
    LIGHT,
    build_environment,
    find_command,
    write_light_study,
    write_study,
)

NOWHERE = "postgresql://somebody@127.0.0.1:1/nothing"


def test_all_faults_of_a_study_file_come_at_once_with_carets(fresh_tuner, fresh_home, tmp_path):
    file = write_study(
        tmp_path, budget="{trails: 5}", search_space="{learning_rate: {float: [1, 0.1]}}"
    )
    refused = fresh_tuner.look("run", file, code=2)
    assert f"{file}:5:40: search_space.learning_rate.float" in refused.err
    assert re.search(r"plain\.yaml:8:10: .*trails.*trials", refused.err)
    n_faults = refused.err.count(f"{file}:")
    assert n_faults >= 2
    assert len(re.findall(r"^ +\^$", refused.err, re.M)) == n_faults
    assert refused.out == ""
    assert list(fresh_home.iterdir()) == []  # nothing was started or written


@pytest.mark.parametrize("file", ["missing.yaml", ".", "/dev/null"])
def test_what_is_no_study_file_is_refused(tuner, file):
    refused = tuner.look("run", file, code=2)
    assert refused.err.startswith(f"tuner: {file}:1:1: ")


@pytest.mark.parametrize("command", ["status", "trials", "best"])
def test_an_unknown_study_is_not_found_and_close_names_are_offered(finished, command):
    refused = finished.look(command, "plane", code=3)
    assert refused.err == (
        "tuner: no study 'plane' (did you mean 'plain'?); tuner status lists them\n"
    )
    assert refused.out == ""
    assert finished.look(command, "plane", "--json", code=3).out == ""


@pytest.mark.parametrize("command", ["status", "run"])
def test_an_unreachable_database_is_exit_code_4(tuner, tmp_path, command):
    arguments = [write_study(tmp_path)] if command == "run" else []
    refused = tuner(command, *arguments, "--storage", NOWHERE, code=4)
    assert "cannot reach the database postgresql" in refused.err
    assert "127.0.0.1" in refused.err
    assert refused.err.count("\n") == 1


def test_a_study_without_a_complete_trial_is_exit_code_5(tuner, tmp_path):
    space = "{learning_rate: {float: [1e308, 1.1e308]}}"
    file = write_light_study(tmp_path, search_space=space)
    code = (tmp_path / "train.py").read_text()
    (tmp_path / "train.py").write_text(code.replace("/ step)", "* 10)"))  # infinity
    ended = tuner("run", file, "--workers", 2, code=5, **LIGHT)
    assert "plain: finished, 2 of 2 trials" in ended.out
    assert re.search(r"^failures\n(  \d x .*val_loss is .*\n)+", ended.out, re.M)
    assert "no COMPLETE trial" in ended.out
    assert "tuner best" not in ended.out
    refused = tuner.look("best", "plain", code=5)
    assert "has no COMPLETE trial (2 of 2 trials are final)" in refused.err
    assert refused.out == ""


def test_a_password_on_the_command_line_is_refused_with_the_alternatives(tuner):
    url = "postgresql://somebody:canary@127.0.0.1:1/nothing"
    refused = tuner.look("status", "--storage", url, code=2)
    for alternative in ("TUNER_STORAGE", "PGPASSFILE", "service="):
        assert alternative in refused.err
    assert "canary" not in refused.err + refused.out


@pytest.mark.parametrize("command", [("status",), ("db", "url")])
def test_a_password_in_the_environment_is_never_shown(tuner, command):
    url = "postgresql://somebody:canary@127.0.0.1:1/nothing"
    ended = tuner.look(*command, TUNER_STORAGE=url, code=None)
    assert "somebody" in ended.err + ended.out
    assert "canary" not in ended.err + ended.out


def test_another_database_than_postgres_is_refused(tuner):
    assert "mysql" in tuner.look("status", "--storage", "mysql://host/name", code=2).err


def test_another_study_under_the_same_name_is_refused_with_a_diff(finished, tmp_path):
    space = "{learning_rate: {float: [1e-3, 1], log: true}, dropout: {float: [0, 0.5]}}"
    file = write_study(tmp_path, seed="1", search_space=space)
    refused = finished("run", file, "--workers", 1, code=2)
    lines = refused.err.splitlines()
    assert "a different study has the name 'plain'" in lines[0]
    assert "seed: stored 0, given 1" in lines
    assert (
        "search_space.learning_rate: stored {float: [0.001, 0.1], log: true}, "
        "given {float: [0.001, 1.0], log: true}"
    ) in lines
    assert "search_space.dropout: stored nothing, given {float: [0.0, 0.5]}" in lines
    assert len(finished.look("trials", "plain", "--json").json) == 2


def test_what_may_differ_is_only_noted(finished, tmp_path):
    file = write_study(tmp_path, failures="{lease: 10s, grace: 9s}", budget="{trials: 7}")
    joined = finished("run", file, "--workers", 1)
    lease = r"^note: failures\.lease_seconds: stored 30\.0, given 10\.0; the stored lease stays$"
    assert re.search(lease, joined.err, re.M)
    assert re.search(r"^note: failures\.grace_seconds: stored 25\.0, given 9\.0$", joined.err, re.M)
    assert re.search(
        r"^note: budget\.trials: stored 2, given 7; the stored budget stays", joined.err, re.M
    )
    assert "plain: finished, 2 of 2 trials" in joined.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("statu",),
        ("run", "a.yaml", "b.yaml"),
        ("run", "a.yaml", "--workers", "0"),
        ("run", "a.yaml", "--workers", "many"),
        ("status", "--stor", NOWHERE),
        ("best",),
        ("db",),
        ("db", "drop"),
        ("best", b"\xff".decode(errors="surrogateescape")),
    ],
)
def test_a_wrong_command_line_shows_the_usage(tuner, arguments):
    refused = tuner.look(*arguments, code=2)
    assert refused.err.startswith("usage: tuner ")
    assert re.search(r"^tuner[ a-z]*: error: ", refused.err, re.M)
    assert refused.out == ""


def test_a_reader_that_leaves_ends_the_command_in_silence(finished):
    command = finished.start("trials", "plain")
    assert command.stdout is not None
    command.stdout.close()
    assert command.stderr is not None
    assert command.stderr.read() == ""
    assert command.wait(30) == 141


def test_a_full_disk_is_one_sentence(finished):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*find_command(), "trials", "plain"],
            env=build_environment(finished.environment),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == "tuner: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_an_ascii_terminal_is_enough(finished, locale):
    assert "COMPLETE" in finished("trials", "plain", **locale).out
    refused = finished("best", "größe", code=None, **locale)
    assert refused.code in (2, 3)
