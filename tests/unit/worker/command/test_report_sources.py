"""Reports of a program in lines, JSON and CSV, and those that break a rule."""

import json
import os

import pytest

from tuner.study_file.kinds.command.report import Report
from tuner.trial.ends import Mistake
from tuner.worker.kinds.command.sources import open_source


def source_of(tmp_path, report=None, location=""):
    reports = tmp_path / "reports.jsonl"
    reports.touch()
    return open_source(report, str(location), "val_loss", reports)


def in_line(tmp_path, pattern, line, **more):
    source = source_of(tmp_path, Report(pattern=pattern, **more))
    return [(found.step, dict(found.values)) for found in source.read_line(line)]


def polled(source, *, is_last=False):
    return [(found.step, dict(found.values)) for found in source.poll(is_last=is_last)]


PATTERN = r"epoch (?P<step>\d+)(?:.* val_loss[ =](?P<val_loss>\S+)(?: acc (?P<acc>\S+))?)?"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epoch 3 val_loss 0.25", [(3, {"val_loss": 0.25})]),
        ("INFO epoch 12: train 1 val_loss=1e-3, ", [(12, {"val_loss": 0.001})]),
        ("epoch 3 val_loss 0.25 acc 0.9", [(3, {"val_loss": 0.25, "acc": 0.9})]),
        ("epoch 3 val_loss nan", [(3, {"val_loss": pytest.approx(float("nan"), nan_ok=True)})]),
        ("epoch 3 val_loss -inf", [(3, {"val_loss": -float("inf")})]),
        ("epoch x val_loss 0.25", []),
        ("epoch 3 without a val", []),
        ("nothing here", []),
        ("\ufffd\ufffd epoch 1 val_loss 2", [(1, {"val_loss": 2.0})]),
    ],
)
def test_a_pattern_finds_step_and_metrics(tmp_path, line, expected):
    assert in_line(tmp_path, PATTERN, line) == expected


def test_every_match_is_a_step_where_the_file_says_so(tmp_path):
    found = in_line(
        tmp_path, r"Average loss: (?P<val_loss>[\d.]+)", "Average loss: 0.5", step="count"
    )
    assert found == [(None, {"val_loss": 0.5})]


def test_steps_that_count_from_0_are_shifted(tmp_path):
    assert in_line(tmp_path, PATTERN, "epoch 0 val_loss 2", first_step=0) == [
        (1, {"val_loss": 2.0})
    ]
    with pytest.raises(Mistake, match=r"the step is 0, .* needs `first_step: 0`"):
        in_line(tmp_path, PATTERN, "epoch 0 val_loss 2")


def test_a_metric_that_is_text_is_a_mistake(tmp_path):
    with pytest.raises(Mistake, match=r"val_loss is 'low' in the line 'epoch 3 val_loss low'"):
        in_line(tmp_path, PATTERN, "epoch 3 val_loss low")


def test_a_step_that_is_no_whole_number_is_a_mistake(tmp_path):
    with pytest.raises(Mistake, match=r"the step is '1.5', which is no whole number"):
        in_line(tmp_path, r"(?P<step>[\d.]+) (?P<val_loss>\S+)", "1.5 2")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('tuner: {"step": 3, "val_loss": 0.4}', [(3, {"val_loss": 0.4})]),
        ('  tuner:{"val_loss": 1, "note": "text", "is": true}  ', [(None, {"val_loss": 1.0})]),
        ('tuner: {"step": 2.0, "val_loss": NaN}', None),
        ("tuner: trial 3 runs python", []),
        ("a line", []),
    ],
)
def test_lines_of_any_language_are_reports(tmp_path, line, expected):
    found = [(r.step, dict(r.values)) for r in source_of(tmp_path).read_line(line)]
    if expected is None:
        assert found[0][0] == 2
        assert found[0][1]["val_loss"] != found[0][1]["val_loss"]
    else:
        assert found == expected


def test_a_line_that_is_no_json_is_a_mistake(tmp_path):
    with pytest.raises(Mistake, match="a line of output is no JSON object"):
        list(source_of(tmp_path).read_line("tuner: {step: 3}"))


def test_calls_of_tuner_report_are_read_once(tmp_path):
    source = source_of(tmp_path)
    with open(tmp_path / "reports.jsonl", "a") as file:
        file.write('{"step": 1, "val_loss": 0.5}\n{"step": 2, "val')
        file.flush()
        assert polled(source) == [(1, {"val_loss": 0.5})]
        file.write('_loss": 0.25}\n')
        file.flush()
        assert polled(source) == [(2, {"val_loss": 0.25})]
        assert polled(source) == []


def test_json_lines_are_read_as_they_come_and_leftovers_are_not(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "val_loss": 9}\n')
    source = source_of(tmp_path, Report(jsonl="x", step="epoch", first_step=0), path)
    assert polled(source) == []
    with path.open("a") as file:
        file.write('{"epoch": 0, "train_loss": 2}\n{"epoch": 0, "val_loss": 1, "lr": 0.1}\n')
    assert polled(source) == [(1, {"val_loss": 1.0, "lr": 0.1})]
    with path.open("a") as file:
        file.write('{"epoch": 1, "val_loss": 0.5}')  # without an end
    assert polled(source) == []
    assert polled(source, is_last=True) == [(2, {"val_loss": 0.5})]


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"step": 1, "val_loss": "low"}, "val_loss is 'low' in the report, which is no number"),
        ({"val_loss": 1}, "has no step in .*; write the name of the step as `step:`"),
        ({"step": "one", "val_loss": 1}, "the step is 'one', which is no whole number"),
        ([1], "is no JSON object"),
    ],
)
def test_wrong_json_is_a_mistake_in_one_sentence(tmp_path, record, sentence):
    path = tmp_path / "log.jsonl"
    source = source_of(tmp_path, Report(jsonl="x"), path)
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(Mistake, match=sentence):
        polled(source)


def test_a_csv_file_may_be_written_again_with_further_columns(tmp_path):
    path = tmp_path / "metrics.csv"
    source = source_of(tmp_path, Report(csv="x", step="epoch", first_step=0), path)
    assert polled(source) == []
    path.write_text("epoch,train_loss\n0,2.0\n")
    assert polled(source) == []
    path.write_text("epoch,train_loss,val_loss,time\n0,2.0,,\n0,,1.5,12:30\n1,1.0,,\n1,,0.")
    assert polled(source) == [(1, {"val_loss": 1.5})]
    path.write_text("epoch,train_loss,val_loss,time\n0,2.0,,\n0,,1.5,12:30\n1,1.0,,\n1,,0.75,1")
    assert polled(source, is_last=True) == [(2, {"val_loss": 0.75, "time": 1.0})]
    assert polled(source, is_last=True) == []


def test_new_files_of_a_pattern_are_read_and_old_ones_are_not(tmp_path):
    old = tmp_path / "version_0" / "metrics.csv"
    old.parent.mkdir()
    old.write_text("step,val_loss\n1,9\n")
    source = source_of(tmp_path, Report(csv="x"), tmp_path / "version_*" / "metrics.csv")
    new = tmp_path / "version_1" / "metrics.csv"
    new.parent.mkdir()
    new.write_text("step,val_loss\n1,0.5\n")
    assert polled(source) == [(1, {"val_loss": 0.5})]


def test_rows_that_are_added_to_a_leftover_are_new_and_the_others_are_not(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,val_loss\n1,9\n2,8\n")
    source = source_of(tmp_path, Report(csv="x"), path)
    with path.open("a") as file:
        file.write("2,0.5\n")
    assert polled(source) == [(2, {"val_loss": 0.5})]
    path.write_text("step,val_loss\n1,0.25\n")  # a program that begins the file again
    assert polled(source) == [(1, {"val_loss": 0.25})]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epoch,val_loss\n1,2\n", r"has no step next to val_loss; its columns are epoch, val_loss"),
        ("step,val_loss\n1,low\n", "val_loss is 'low' in .*, which is no number"),
        ("step,val_loss\none,2\n", "the step is 'one', which is no whole number"),
    ],
)
def test_wrong_rows_are_mistakes(tmp_path, text, sentence):
    path = tmp_path / "metrics.csv"
    source = source_of(tmp_path, Report(csv="x"), path)
    path.write_text(text)
    with pytest.raises(Mistake, match=sentence):
        polled(source)


def test_a_file_that_is_cut_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "log.jsonl"
    source = source_of(tmp_path, Report(jsonl="x"), path)
    path.write_text('{"step": 1, "val_loss": 100000}\n')
    assert len(polled(source)) == 1
    path.write_text('{"step": 2, "val_loss": 1}\n')
    os.truncate(path, len('{"step": 2, "val_loss": 1}\n'))
    assert polled(source) == [(2, {"val_loss": 1.0})]
