"""Text that others wrote, with escapes in it: no command lets it steer the terminal, and the names
of studies that look like options stay usable."""

import json
import os
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest

from tests.acceptance.command import STUDIES, Tuner, build_environment, find_command, write_study
from tuner.cli.main import main
from tuner.cli.parser.build import build_parser

# Escape, bell, C1's control sequence introducer, marks of direction, Unicode's line ends, a line.
HOSTILE = "\x1b]0;PWNED\x07\x9b31m\u202e\u2066\u2028\u2029\x85\x0b\rfake: line\nfake line"
NAME = f"h{HOSTILE}"

STATEMENTS = (
    "update studies set study_name = %(name)s",
    "update tuner.study set metric = metric || %(text)s",
    "update tuner.metric set name = name || %(text)s",
    "update tuner.agent set host = host || %(text)s",
    "update tuner.lease set reason = coalesce(reason, '') || %(text)s",
    "update tuner.log set message = message || %(text)s, tail = tail || %(text)s",
    "update tuner.event set detail = coalesce(detail, '') || %(text)s",
    "update tuner.decision set reason = reason || %(text)s",
    "update trial_params set param_name = param_name || %(text)s where param_name <> 'x'",
    "update trial_user_attributes set key = left(key || %(text)s, 500)",
)


def rename(url: str, *statements: str, name: str = NAME, text: str = "") -> None:
    """Change what the database holds, as who may write to it can."""
    with (
        psycopg2.connect(url.replace("+psycopg2", "")) as connection,
        connection.cursor() as cursor,
    ):
        for statement in statements:
            cursor.execute(statement, {"name": name, "text": text})
        cursor.execute("select study_id, spec from tuner.study")
        for study_id, spec in cursor.fetchall():
            spec["name"], spec["metric"] = name, spec["metric"] + text
            space = {f"{param}{text}": given for param, given in spec["search_space"].items()}
            changed = json.dumps({**spec, "search_space": space})
            cursor.execute(
                "update tuner.study set spec = %s where study_id = %s", (changed, study_id)
            )


@pytest.fixture
def hostile(own_finished: Tuner) -> Tuner:
    """A database whose only study is full of escapes."""
    rename(own_finished.environment["TUNER_STORAGE"], *STATEMENTS, text=HOSTILE)
    return own_finished


def commands(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every command of tuner, as it meets such a study; none is left out."""
    file = STUDIES / "digits.yaml"
    odd = folder / f"x{HOSTILE[:12]}.yaml"
    odd.write_text(f"name: good\nobjectiv{HOSTILE[3:7]}: 1\n{HOSTILE[:8]}: 2\n")
    return {
        "run": [("run", "--study", f"x{HOSTILE}"), ("run", odd), ("run", file, "--set", HOSTILE)],
        "init": [("init", folder / HOSTILE.replace("/", ""))],
        "check": [("check", odd), ("check", f"none{HOSTILE}"), ("check", file, "--set", HOSTILE)],
        "schema": [("schema",)],
        "status": [("status",), ("status", NAME), ("status", NAME, "--watch"),
                   ("status", f"x{HOSTILE}"), ("status", "--every", HOSTILE, NAME)],
        "trials": [("trials", NAME), ("trials", NAME, "--csv"), ("trials", NAME, "--sort", HOSTILE),
                   ("trials", NAME, "--where", HOSTILE), ("trials", NAME, "--state", HOSTILE)],
        "show": [("show", NAME, 0), ("show", NAME, 99)],
        "logs": [("logs", NAME, 0), ("logs", NAME, 0, "-f"), ("logs", NAME, 99)],
        "best": [("best", NAME), ("best", NAME, "--by", "confirmed")],
        "dashboard": [("dashboard", f"x{HOSTILE}"), ("dashboard", "--host", HOSTILE)],
        "report": [("report", NAME, "-o", folder / "report.html")],
        "export": [("export", NAME), ("export", NAME, "-o", folder / "best.yaml"),
                   ("export", NAME, "--trial", 99)],
        "train": [("train", odd), ("train", f"none{HOSTILE}")],
        "predict": [("predict", folder / HOSTILE.replace("/", ""), odd), ("predict", odd, odd)],
        "confirm": [("confirm", NAME, "--show"), ("confirm", NAME, "--name", HOSTILE)],
        "reproduce": [("reproduce", NAME, 99), ("reproduce", NAME, 0, "--suggestion")],
        "stop": [("stop", NAME, "--reason", HOSTILE)],
        "pause": [("pause", NAME, "--reason", HOSTILE)],
        "resume": [("resume", NAME)],
        "extend": [("extend", NAME, "--trials", "+1"), ("extend", NAME, "--time", HOSTILE)],
        "retry": [("retry", NAME, "--failed"), ("retry", NAME, 99)],
        "enqueue": [("enqueue", NAME), ("enqueue", NAME, f"{HOSTILE}=1"), ("enqueue", NAME, "y=1")],
        "agent": [("agent", "--studies", f"none{HOSTILE}", "--until-done")],
        "priority": [("priority", NAME, HOSTILE), ("priority", f"x{HOSTILE}", 3)],
        "drain": [("drain", NAME, HOSTILE), ("drain", NAME, "--all-studies", HOSTILE, "--yes"),
                  ("drain", f"x{HOSTILE}", "node1", "--device", HOSTILE)],
        "undrain": [("undrain", NAME, HOSTILE), ("undrain", "--all-studies", HOSTILE)],
        "doctor": [("doctor",)],
        "completion": [("completion", HOSTILE)],
        "db": [("db", HOSTILE), ("db", "url"), ("db", "grant", "reader", HOSTILE),
               ("db", "restore", f"none{HOSTILE}"), ("db", "upgrade"),
               ("db", "upgrade", "--storage", f"postgresql:///{HOSTILE}")],
        "delete": [("delete", NAME), ("delete", NAME, "--yes")],
        HOSTILE: [(HOSTILE,), ("status", f"--{HOSTILE}")],
    }  # fmt: skip


def is_harmless(text: str) -> bool:
    """Whether no character of it moves anything but the cursor, to the right or to a new line."""
    return all(c.isprintable() or c in "\n\t" or c == "\xa0" for c in text)


@pytest.fixture
def call(own_finished: Tuner, capsys, monkeypatch):
    """A command in this process, which is quick: all that it printed."""
    for name, value in own_finished.environment.items():
        monkeypatch.setenv(name, value)

    def run(*words: object) -> str:
        with suppress(SystemExit):
            main([str(word) for word in words])
        shown = capsys.readouterr()
        return shown.out + shown.err

    return run


def test_no_command_lets_text_of_others_steer_the_terminal(hostile, call, tmp_path):
    walked = commands(tmp_path)
    (action,) = (a for a in build_parser()._actions if a.choices and "run" in a.choices)
    assert set(action.choices) <= set(walked), "a new command joins this list"
    for words in (words for each in walked.values() for words in each):
        text = call(*words)
        assert text, words
        assert is_harmless(text), (words, text)
    assert is_harmless((done := hostile("run", "--study", NAME, code=None)).out), done


def on_a_terminal(tuner: Tuner, *words: object) -> str:
    """What a command writes to its terminal."""
    ours, its = os.openpty()
    environment = build_environment({**tuner.environment, "TERM": "xterm", "NO_COLOR": "1"})
    process = subprocess.Popen(
        [*find_command(), *map(str, words)], stdin=its, stdout=its, stderr=its, env=environment
    )
    os.close(its)
    received = b""
    try:
        while data := os.read(ours, 65536):
            received += data
    except OSError:  # how a terminal ends
        pass
    os.close(ours)
    process.wait()
    return received.decode(errors="replace")


def check_json(call) -> None:
    """JSON is escaped, and holds the text as it is."""
    for words in (("status",), ("status", NAME), ("trials", NAME), ("show", NAME, 0),
                  ("best", NAME)):  # fmt: skip
        out = call(*words, "--json")
        assert out.isascii(), words
        assert is_harmless(out), words
        assert "PWNED" in json.dumps(json.loads(out)), words
    assert json.loads(call("status", "--json"))[0]["name"] == NAME


def test_json_and_files_that_are_printed_steer_no_terminal_either(hostile, call):
    check_json(call)
    for words in (("export", NAME, "--format", "env"), ("report", NAME, "-o", "-"),
                  ("status", NAME), ("run", "--study", NAME)):  # fmt: skip
        text = on_a_terminal(hostile, *words)
        assert "PWNED" in text, words
        for piece in ("\x1b]", "\x07", "\x9b", "\u202e", "\u2028", "\x85"):
            assert piece not in text, (words, piece)


def test_commands_that_are_shown_work_for_every_name(own_finished, call, tmp_path):
    tuner = own_finished
    database_url = tuner.environment["TUNER_STORAGE"]
    script = shlex.join(find_command())
    for name in ("--json", "it's; false", NAME):
        rename(database_url, "update studies set study_name = %(name)s", name=name)
        shown = tuner.look("run", f"--study={name}").out
        found = [line.split("  ")[1] for line in shown.split("\n") if line.startswith("  tuner ")]
        assert {line.split()[1] for line in found} >= {"best", "trials", "status", "confirm"}
        for command in found:
            # As a shell splits them; what these commands do then, other tests show.
            split = subprocess.run(
                ["bash", "-c", command.replace("tuner ", "printf '%s\\0' ", 1)],
                capture_output=True, check=True,
            ).stdout.decode().split("\0")[:-1]  # fmt: skip
            options = build_parser().parse_args(split)
            assert options.study == name, command
        for words in (("best",), ("trials",), ("status",), ("report", "-o", tmp_path / "r.html")):
            assert json.loads(call(*words, "--json", "--", name)), words
        assert "trial 0" in call("show", "--", name, 0)
    done = subprocess.run(
        ["bash", "-c", found[0].replace("tuner ", f"{script} ", 1)], capture_output=True,
        check=False, env=build_environment(tuner.environment),
    )  # fmt: skip
    assert done.returncode == 0, (found[0], done)


def test_new_studies_have_no_name_like_an_option(call, tmp_path):
    file = write_study(tmp_path)
    study = json.loads(call("status", "--json"))[0]["name"]
    for name in ("--json", "-rf", "-"):
        for command in ("check", "run"):
            assert "start with a letter" in call(command, file, "--set", f'name="{name}"')
        assert "start with a letter" in call("confirm", study, f"--name={name}")
    assert len(json.loads(call("status", "--json"))) == 1
