"""Arguments in, exit code out."""

import os

import pytest

from tuner.cli.main import main
from tuner.cli.parser import build_parser


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
