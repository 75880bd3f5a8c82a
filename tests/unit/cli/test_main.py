"""Arguments in, exit code out."""

import os
import subprocess
import sys

import pytest

from tuner.cli.main import main
from tuner.cli.parser.build import build_parser
from tuner.errors import RunFailed


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 0
    assert "example: tuner run studies/digits.yaml" in capsys.readouterr().out


def test_options_cannot_be_abbreviated(capsys):
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["status", "--js"])
    assert ended.value.code == 2
    assert "--js" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "1025", "1.5", "two", ""])
def test_workers_is_a_whole_number_within_reason(capsys, number):
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["run", "a.yaml", "--workers", number])
    assert ended.value.code == 2
    assert "is not a whole number from 1 to 1024" in capsys.readouterr().err


def test_an_error_that_quotes_what_others_printed_steers_no_terminal(capsys, monkeypatch):
    def execute(_options):
        raise RunFailed("the trial failed: \x1b[2Jboom\n  \x1b]0;title\x07 epoch 1\r2")

    monkeypatch.setattr("tuner.cli.commands.best.execute", execute)
    assert main(["best", "digits"]) == 1
    shown = capsys.readouterr().err
    assert shown == "tuner: the trial failed: \ufffd[2Jboom\n  \ufffd]0;title\ufffd epoch 1\n2\n"


def test_names_that_are_not_utf8_are_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["best", os.fsdecode(b"\xff")])
    assert ended.value.code == 2
    assert "is not UTF-8" in capsys.readouterr().err


def test_a_study_file_that_is_missing_is_exit_code_2(capsys, tmp_path):
    assert main(["run", str(tmp_path / "none.yaml")]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("tuner: ")
    assert "none.yaml" in shown.err


LATE = """
import atexit, os, signal, sys, threading, time
from tuner.cli.main import main

{setup}
sys.argv = ["tuner", *{words}]
sys.exit(main())
"""


AFTER_ALL_ELSE = """
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    atexit.register(os.kill, os.getpid(), number)
"""
WHILE_IT_HANGS = """
def ask_for_the_end():
    while isinstance(signal.getsignal(signal.SIGUSR1), signal.Handlers):
        time.sleep(0.01)  # the command is at work
    os.kill(os.getpid(), signal.{name})

threading.Thread(target=ask_for_the_end).start()
threading.Thread(target=time.sleep, args=[600]).start()
"""


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["no-such-command"], 2)])
@pytest.mark.parametrize(
    "setup",
    [
        AFTER_ALL_ELSE,
        *(WHILE_IT_HANGS.format(name=name) for name in ("SIGINT", "SIGTERM", "SIGUSR1")),
    ],
    ids=["after all else", "SIGINT", "SIGTERM", "SIGUSR1"],
)
def test_a_signal_after_the_answer_ends_the_process_with_the_answers_code(
    setup: str, words: list[str], code: int
) -> None:
    program = LATE.format(setup=setup, words=words)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
