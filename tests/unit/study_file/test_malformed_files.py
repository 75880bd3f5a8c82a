"""A corpus of malformed study files: each with every sentence it must be answered with.

`malformed.jsonl` holds one case a line: in the good file below, `old` is replaced by `new`.
"""

import json
import os
from pathlib import Path

import pytest

from tuner.errors import StudyFileError
from tuner.study_file.load import load_spec

GOOD = """\
name: digits
objective:
  data: {sklearn: digits}
  model: mlp
minimize: val_loss
params: {epochs: 27}
search_space:
  learning_rate: {float: [1e-4, 1e-1], log: true}
  n_layers: {int: [1, 4]}
sampler: tpe
pruner: asha
budget: {trials: 100}
"""
CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "malformed.jsonl").read_text().splitlines()
]


def sentences(path: Path) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    return [
        f"{fault.line}:{fault.column}: {fault.path + ': ' if fault.path else ''}{fault.message}"
        for fault in caught.value.faults
    ]


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "study.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_file_that_the_corpus_changes_is_valid(tmp_path):
    assert load_spec(write(tmp_path, GOOD)).name == "digits"


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_every_fault_is_located_and_said_in_one_sentence(case, tmp_path):
    assert GOOD.count(case["old"]) >= 1
    path = write(tmp_path, GOOD.replace(case["old"], case["new"], 1))
    assert sentences(path) == case["faults"]


def test_the_corpus_is_large_enough_and_its_names_are_unique():
    assert len({case["name"] for case in CASES}) == len(CASES) >= 60


def test_all_faults_of_a_file_come_at_once_sorted_by_line(tmp_path):
    text = GOOD.replace("trials: 100", "trials: 0").replace("mlp", "rnn").replace("27", "0")
    assert [sentence.split(":")[0] for sentence in sentences(write(tmp_path, text))] == [
        "4",
        "6",
        "12",
    ]


def test_at_most_twenty_faults_are_shown(tmp_path):
    text = GOOD + "".join(f"unknown_{n}: 1\n" for n in range(50))
    assert len(sentences(write(tmp_path, text))) == 20


def test_the_message_shows_the_line_with_a_caret_under_the_value(tmp_path):
    path = write(tmp_path, GOOD.replace("mlp", "mpl"))
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    assert str(caught.value) == (
        f"{path}:4:10: objective.model: unknown model 'mpl'; did you mean mlp?\n"
        "      model: mpl\n"
        "             ^"
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "1:1: the file is empty; `name:` and `objective:` are a start"),
        (b" \n\n", "1:1: the file is empty; `name:` and `objective:` are a start"),
        (b"# nothing\n", "1:1: the file holds no study; `name:` and `objective:` are a start"),
        (b"- a\n- b\n", "1:1: must be a mapping; `name: digits` could be its first line"),
        (b"hello", "1:1: must be a mapping; `name: digits` could be its first line"),
        (b"name: a\nseed: \xe9\n", "2:7: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("name: digits".encode("utf-16"), "1:1: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"a" * 1_000_001, "1:1: the file is larger than 1 MB; a study file is a page of text"),
        (b"name: a\x00b\n", "1:8: a control character (U+0000); remove it"),
        (b"[" * 100_000, "1:21: nested deeper than 20 levels; flatten it"),
        (b"a: " + b"[1," * 15 + b"1" * 5000, "1:49: a number of 5,000 characters"),
        (b"a: [" + b"1, " * 20_000 + b"]", "1:29996: more than 10,000 keys and values"),
    ],
)
def test_what_is_no_study_file_at_all_is_refused(content, sentence, tmp_path):
    assert sentences(write(tmp_path, content))[0].startswith(sentence)


def test_a_missing_file_a_directory_and_a_device_are_refused(tmp_path):
    assert sentences(tmp_path / "none.yaml") == ["1:1: no such file; check the path"]
    assert sentences(tmp_path) == ["1:1: this is a directory; name a study file in it"]
    assert sentences(Path("/dev/null")) == ["1:1: this is not a regular file; name a study file"]
    assert sentences(tmp_path / ("x" * 300))[0].startswith("1:1: cannot be read")
    assert sentences(Path("a\x00b"))[0].startswith("1:1: cannot be read")


def test_a_file_without_read_right_is_refused(tmp_path):
    path = write(tmp_path, GOOD)
    path.chmod(0)
    me = os.geteuid()
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    if me == 0:
        os.seteuid(65534)  # root reads everything
    try:
        found = sentences(path)
    finally:
        os.seteuid(me)
    assert found == ["1:1: no right to read this file; check its permissions"]


def test_a_password_in_the_file_is_not_repeated(tmp_path):
    path = write(tmp_path, GOOD + "stor: postgresql://me:canary@host/db\n")
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    assert "canary" not in str(caught.value)
    assert "canary" not in repr(caught.value.faults)


def test_terminal_codes_in_values_and_keys_are_not_repeated(tmp_path):
    path = write(tmp_path, GOOD + r'"\e[31mred": 1' + "\n")
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    assert "\x1b" not in str(caught.value)


def test_windows_line_ends_and_a_byte_order_mark_are_accepted(tmp_path):
    content = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    assert load_spec(write(tmp_path, content)).budget.trials == 100
