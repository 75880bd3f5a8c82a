"""The live screen as text: what it shows, and that it fits."""

from dataclasses import replace
from datetime import timedelta

import pytest
from rich.text import Text

from tests.unit.cli.builders import NOON, agent, counts, failure, study, summary, trial, used
from tuner.cli.screen.events import NewsLine
from tuner.cli.screen.frame import Frame, _cut, render_screen, render_waiting
from tuner.cli.screen.trend import best_so_far
from tuner.results.live import LiveStudy
from tuner.storage.reading.trials import EventRow, HeldRow, RecordRow
from tuner.study.activity import Activity, DeviceActivity, LaneActivity
from tuner.study.agents import Desired
from tuner.study.limits import Limits


def lane(device="gpu:0", number=12, **changes):
    values = {"attempt": 1, "step": 7, "n_steps": 27, "value": 0.21, "seconds": 12.0} | changes
    return LaneActivity(device=device, trial=number, **values)


def machine(name="box", lanes=(), alerts=(), n_devices=8, **changes):
    return agent(
        host=name,
        devices=tuple(f"gpu:{n}" for n in range(n_devices)),
        trials=tuple(lane.trial for lane in lanes),
        activity=Activity(state="working", devices=at_work(lanes), lanes=lanes, alerts=alerts),
        **changes,
    )


def at_work(lanes):
    trials = {}
    for each in lanes:
        trials.setdefault(each.device, []).append(each.trial)
    return tuple(
        DeviceActivity(device=device, trials=tuple(numbers), seconds=5.0)
        for device, numbers in trials.items()
    )


def crowd(n_lanes=64, n_devices=8, **changes):
    """A machine whose devices train many trials each, told as agents tell it: some of them."""
    devices = tuple(
        DeviceActivity(
            device=f"gpu:{d}",
            trials=tuple(range(n_lanes * d, n_lanes * (d + 1))),
            seconds=60.0,
        )
        for d in range(n_devices)
    )
    told = tuple(
        lane(
            device.device,
            number,
            step=number % 27,
            value=0.5 + number / 1000,
            seconds=1000.0 - number,
        )
        for device in devices
        for number in device.trials[5:8]
    )
    return replace(
        machine(n_devices=n_devices, **changes),
        trials=tuple(number for device in devices for number in device.trials),
        activity=Activity(state="working", devices=devices, lanes=told),
    )


def event(n, kind="pruned", number=3, **changes):
    values = {"host": "box", "device": "gpu:0", "detail": None, "value": 0.5} | changes
    at = NOON + timedelta(seconds=n)
    return EventRow(event_id=n, at=at, number=number, attempt=1, kind=kind, **values)


def live(**changes):
    values = {
        "summary": summary(
            study=study(limits=Limits(trials=100, seconds=3600.0)),
            counts=counts(COMPLETE=10, PRUNED=26, RUNNING=2),
            used=used(trials=38),
            agents=(machine(lanes=[lane(), lane("gpu:1", 13, step=3)]),),
            failures=(failure("val_loss is nan", 2),),
        ),
        "held": {},
        "records": [RecordRow(nth=1, number=0, value=0.5), RecordRow(nth=4, number=9, value=0.25)],
        "events": [event(n, number=n) for n in range(50)],
    } | changes
    return LiveStudy(**values)


def fused_fleet(n_machines, n_lanes=64):
    machines = tuple(crowd(n_lanes, name=f"node{m}") for m in range(n_machines))
    return live(summary=summary(counts=counts(RUNNING=8 * n_lanes * n_machines), agents=machines))


def fleet(n_machines):
    machines = tuple(
        machine(f"node{m}", [lane(f"gpu:{d}", 8 * m + d) for d in range(8)], ["away for 8 s"])
        for m in range(n_machines)
    )
    return live(summary=summary(counts=counts(COMPLETE=3, RUNNING=32), agents=machines))


def draw(shown, width=80, height=30, **more):
    return render_screen(shown, Frame(width=width, height=height, footer="Ctrl-C ends", **more))


@pytest.mark.parametrize("width", [1, 20, 40, 80, 120, 200])
@pytest.mark.parametrize("height", [1, 5, 12, 24, 50])
@pytest.mark.parametrize("n_machines", [0, 1, 4, 40])
def test_no_line_wraps_and_the_screen_is_exactly_as_high_as_it_may_be(width, height, n_machines):
    for shown in (fleet(n_machines), fused_fleet(n_machines)):
        lines = draw(shown, width, height).split("\n", allow_blank=True)
        assert max(line.cell_len for line in lines) <= width
        assert len(lines) == height


def test_everything_that_matters_is_on_it():
    text = draw(live()).plain
    for part in (
        "digits  running",
        "about",
        "best 0.25  trial 3",
        "38 of 100",
        "1 min 0 s of 1 h 0 min",
        "10 complete   26 pruned   2 running",
        "pruning saved",
        "gpu:0 12 ",
        "  7/27 0.21",
        "gpu:7 ",
        "idle",
        "2 x val_loss is nan",
        "trial 49 pruned",
        "Ctrl-C ends",
    ):
        assert part in text, part


def test_a_report_that_came_after_the_beat_counts():
    held = {12: HeldRow(number=12, attempt=1, step=9, value=0.125)}
    assert "  9/27 0.125" in draw(live(held=held)).plain
    older = {12: HeldRow(number=12, attempt=2, step=9, value=0.125)}
    assert "  7/27 0.21" in draw(live(held=older)).plain


def test_a_trial_that_no_beat_has_told_yet_is_shown_where_a_device_is_idle():
    held = {14: HeldRow(number=14, attempt=1, step=0, value=None)}
    working = summary(counts=counts(RUNNING=1), agents=(agent(trials=(14,)),))
    assert "cpu:0 14" in draw(live(summary=working, held=held)).plain


def test_without_a_length_the_step_is_told_alone():
    lanes = [lane(n_steps=None)]
    working = summary(counts=counts(RUNNING=1), agents=(machine(lanes=lanes),), n_steps_full=None)
    assert "gpu:0 12 at 7 0.21" in draw(live(summary=working)).plain


def test_a_crowded_fleet_gets_a_line_each_then_a_count():
    short = draw(fleet(4), 80, 24).plain
    assert short.count("node") >= 4
    assert "more" not in short.split("away")[0]
    assert "  31 " in short, "eight devices of the last machine fit"
    assert "machines more" in draw(fleet(40), 80, 24).plain


def test_a_device_that_many_trials_share_is_one_line_with_its_best_and_its_oldest():
    lines = draw(fused_fleet(1), 100, 40).plain.split("\n")
    (line,) = [line for line in lines if "gpu:7" in line and "pruned" not in line]
    assert line.split()[:4] == ["gpu:7", "64", "lanes", "best"]
    assert line.split()[4] == "453", "the lowest value, not the first"
    assert "oldest" not in line, "it is the oldest as well"
    assert sum("64 lanes" in line for line in lines) == 8, "eight devices, eight lines"


def test_the_oldest_stands_beside_the_best():
    lanes = [lane(number=1, value=0.5, seconds=90.0), lane(number=2, value=0.1), lane(number=3)]
    working = summary(counts=counts(RUNNING=3), agents=(machine(lanes=lanes),))
    text = draw(live(summary=working), 100).plain
    (line,) = [line for line in text.split("\n") if "3 lanes" in line]
    assert line.index("best 2 ") < line.index("oldest 1 ")


def test_a_report_since_the_beat_makes_another_trial_the_best():
    held = {500: HeldRow(number=500, attempt=1, step=20, value=0.01)}
    text = draw(replace(fused_fleet(1), held=held), 100, 40).plain
    assert "gpu:7 64 lanes  best 500 " in text


def test_a_crowded_fleet_counts_the_lanes_of_each_device():
    text = draw(fused_fleet(4), 80, 24).plain
    assert text.count("x64 ") == 32


def test_an_outage_is_an_alert_with_the_age_of_what_is_shown():
    text = draw(live(), error="cannot reach\x1b it", age_seconds=12.0).plain
    assert "the database does not answer, the data shown are 12.0 s old" in text
    assert "\x1b" not in text


def test_a_silent_machine_and_what_agents_say_are_alerts():
    silent = machine("gone", [lane()], silent_seconds=99.0)
    said = machine("here", [lane()], ["the disk is\x1b full"])
    text = draw(live(summary=summary(counts=counts(RUNNING=2), agents=(silent, said)))).plain
    assert "lost: gone (pid 42), silent for 1 min 39 s" in text
    assert "here: the disk is\ufffd full" in text


def test_what_others_wrote_does_not_steer_the_terminal():
    evil = live(
        events=[event(1, "odd\x1b", detail="x\x1b[2J", host="h\x1b", device="\x1b")],
        summary=summary(
            counts=counts(RUNNING=1),
            best=trial(3, params={"a\x1b": "b\x1b"}),
            agents=(machine("evil\x1b]0;", [lane("d\x1b")], ["a\x1b"]),),
            failures=(failure("f\x1b"),),
            study=study(desired=Desired.PAUSED, reason="r\x1b"),
        ),
    )
    assert "\x1b" not in draw(evil, 200, 50).plain


def test_a_terminal_without_blocks_gets_plain_letters():
    assert draw(live(), ascii_only=True).plain.isascii()


def test_before_the_first_look_there_is_a_word():
    news = [NewsLine(at=NOON, text="new study digits")]
    frame = Frame(width=30, height=10, footer="Ctrl-C ends", news=news)
    assert render_waiting("reading ...", frame).plain.split("\n")[:2] == [
        "reading ...",
        "new study digits",
    ]


def test_what_the_agent_says_stands_among_the_events():
    news = [NewsLine(at=NOON + timedelta(seconds=48.5), text="worker gpu:0: crashed")]
    lines = draw(live(), news=news).plain.split("\n")
    (at,) = [n for n, line in enumerate(lines) if "crashed" in line]
    assert "trial 48" in lines[at - 1]
    assert "trial 49" in lines[at + 1]


def test_a_failed_attempt_is_shown_as_one_that_is_tried_again():
    failed = event(1, "attempt_failed", value=None, detail="ValueError: boom")
    (line,) = [text for text in draw(live(events=[failed])).plain.split("\n") if "boom" in text]
    assert " ".join(line.split()[1:]).startswith("trial 3 failed attempt 1, tried again: Value")
    assert "released" not in line


def test_the_trend_goes_from_the_first_to_the_best():
    records = [RecordRow(nth=1, number=0, value=1.0), RecordRow(nth=5, number=7, value=0.1)]
    assert best_so_far(records, 8, 8) == "████▁▁▁▁"
    assert best_so_far(records, 1, 8) == best_so_far([], 8, 8) == ""


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", range(8, 40))
def test_a_line_of_the_screen_ends_where_a_word_ends(width, ascii_only):
    line = Text("best 0.25  trial 3  learning_rate 7.7333e-06, n_layers 12345")
    shown = _cut(line, width, ascii_only=ascii_only)
    assert shown.cell_len <= width
    assert set(shown.plain.removesuffix("…").split()) <= set(line.plain.split())
