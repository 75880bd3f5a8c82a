"""Real programs, followed to their ends: reports, verdicts, stops, and what is left of them."""

import re
import signal
import time

import pytest

from tests.unit.worker.test_pipe_lane import FakeMail
from tuner.messages import Reported, Saved, Setup, Start, Stop, Warned
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study.verdict import Outcome, Verdict
from tuner.worker.kinds.command import run
from tuner.worker.kinds.command.objective import run_command
from tuner.worker.lanes import PipeLane

PATTERN = r"step (?P<step>\d+) loss (?P<loss>\S+)"


class Mail(FakeMail):
    """Stops the trial with a verdict after a number of reports."""

    def __init__(self, verdict=None, after=0):
        super().__init__()
        self.verdict, self.after, self.lane = verdict, after, None
        self.is_patient = False  # waits for a warning as well

    def deliver(self, wait_seconds):
        n_reports = sum(isinstance(message, Reported) for message in self.sent)
        is_time = n_reports >= self.after and not (self.is_patient and not self._has_warned())
        if self.verdict is not None and is_time:
            self.lane.take(Stop(number=3, attempt=1, verdict=self.verdict))

    def _has_warned(self):
        return any(isinstance(message, Warned) for message in self.sent)


class LateMail(Mail):
    """Stops the trial a moment after its program has ended."""

    def __init__(self):
        super().__init__(Verdict.RELEASE)
        self.n_looks = 0

    def deliver(self, wait_seconds):
        n_reports = sum(isinstance(message, Reported) for message in self.sent)
        self.n_looks += n_reports > 0
        if self.n_looks > 4:
            super().deliver(wait_seconds)


def run_script(
    tmp_path,
    script,
    mail=None,
    *,
    grace_seconds=9.0,
    report=None,
    save_every_seconds=1000.0,
    trusts_folders=True,
    **start,
):
    """Run a script of bash; return how it left, and its reports."""
    mail = mail or Mail()
    (tmp_path / "main.sh").write_text(script)
    objective = {"command": ["bash", "main.sh", "{x}"], "report": report or {"pattern": PATTERN}}
    setup = Setup(
        device="cpu",
        n_threads=1,
        objective=objective,
        fixed={},
        data_folder="",
        data_seed=0,
        goal=Goal(metric="loss", direction=Direction.MINIMIZE),
        spool=str(tmp_path),
        save_every_seconds=save_every_seconds,
        folder=str(tmp_path),
        trials_folder=str(tmp_path / "trials"),
        grace_seconds=grace_seconds,
        trusts_folders=trusts_folders,
    )
    first = {"number": 3, "attempt": 1, "params": {"x": 1.5}, "seed": 5, "checkpoint": None}
    lane = PipeLane(
        Start(**{**first, "decide_at": (), **start}),
        setup,
        mail,
        complete=dict,
        is_stepwise=False,
    )
    mail.lane = lane
    left = run_command(setup, lane)
    reports = [(m.step, m.values["loss"]) for m in mail.sent if isinstance(m, Reported)]
    return left, reports


def test_a_program_is_followed_to_its_end(tmp_path):
    script = 'for i in 1 2 3; do echo "step $i loss $1$i" >&$((i % 2 + 1)); sleep 0.02; done'
    left, reports = run_script(tmp_path, script)
    assert (left.how, left.value) == (Outcome.COMPLETE, 1.53)
    assert reports == [(1, 1.51), (2, 1.52), (3, 1.53)]


def test_the_last_line_needs_no_end(tmp_path):
    left, reports = run_script(tmp_path, 'printf "step 1 loss 0.5"')
    assert (left.how, reports) == (Outcome.COMPLETE, [(1, 0.5)])


def test_lines_and_calls_of_tuner_report_are_reports(tmp_path):
    script = """echo 'tuner: {"step": 1, "loss": 2}'
sleep 0.3
echo '{"step": 2, "loss": 1}' >> "$TUNER_REPORTS"
"""
    left, reports = run_script(tmp_path, script, report={"csv": "unused.csv"})
    assert (left.how, reports) == (Outcome.MISTAKE, [])
    assert "unused.csv" in left.message


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo hello; echo world", r"ended without a report; .* 2 lines .*: hello \| world"),
        ("true", "ended without a report; .* has printed nothing"),
        ("echo step 1 loss low", "loss is 'low' in the line 'step 1 loss low'"),
        ("echo step 1 loss 2; echo step 1 loss 2", "step 1 was reported after step 1"),
        ("echo step 2 loss 2; echo step 1 loss 2", "step 1 was reported after step 2"),
        ("echo step 0 loss 2", "the step is 0, and steps count from 1"),
    ],
)
def test_a_program_that_breaks_a_rule_is_a_mistake_in_one_sentence(tmp_path, script, sentence):
    left, _ = run_script(tmp_path, script)
    assert left.how is Outcome.MISTAKE
    assert re.search(sentence, left.message), left.message
    assert "\n" not in left.message


@pytest.mark.parametrize(
    ("script", "how", "sentence"),
    [
        ("echo step 1 loss 2; echo oh no >&2; exit 3", Outcome.EXITED, "exit code 3: oh no"),
        ("echo step 1 loss 2; kill -SEGV $$; sleep 5", Outcome.CRASHED, "ended by SIGSEGV"),
        ("echo MemoryError; exit 1", Outcome.OUT_OF_MEMORY, "exit code 1: MemoryError"),
        ("pyton main.py", Outcome.MISTAKE, "exit code 127"),
    ],
)
def test_a_program_that_fails_has_a_class_and_a_sentence(tmp_path, script, how, sentence):
    left, _ = run_script(tmp_path, script)
    assert left.how is how
    assert sentence in left.message


def test_a_pruned_program_gets_sigterm_and_time(tmp_path):
    script = """trap 'echo bye > bye.txt; exit 0' TERM
for i in $(seq 100); do echo "step $i loss 1"; sleep 0.1; done"""
    left, reports = run_script(tmp_path, script, Mail(Verdict.PRUNE, 3))
    assert left.how is Outcome.PRUNED
    assert len(reports) == 3
    assert (tmp_path / "bye.txt").read_text() == "bye\n"


def test_a_program_that_ignores_sigterm_is_killed_with_its_children(tmp_path):
    script = """trap '' TERM
sleep 1000 &
echo $! > child.txt
for i in $(seq 1000); do echo "step $i loss 1"; sleep 0.1; done"""
    started = time.monotonic()
    left, _ = run_script(tmp_path, script, Mail(Verdict.RELEASE, 2), grace_seconds=8.5)
    assert left.how is Outcome.RELEASED
    assert 0.9 < time.monotonic() - started < 20  # a second is the least that it gets
    child = int((tmp_path / "child.txt").read_text())
    until = time.monotonic() + 5
    while _is_running(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _is_running(child)


def _is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_a_child_that_keeps_the_output_open_does_not_hold_the_trial(tmp_path):
    left, reports = run_script(tmp_path, "sleep 1000 & echo step 1 loss 0.5")
    assert (left.how, reports) == (Outcome.COMPLETE, [(1, 0.5)])


def test_a_value_that_is_not_finite_ends_the_program(tmp_path):
    left, reports = run_script(tmp_path, "echo step 1 loss inf; sleep 100")
    assert left.how is Outcome.DROPPED  # the agent has judged the report
    assert reports == [(1, float("inf"))]


def test_a_flood_of_output_does_not_hide_the_reports(tmp_path):
    script = (
        'head -c 30000000 /dev/zero | tr "\\0" "x"; echo; yes | head -c 3000000; echo step 1 loss 2'
    )
    left, reports = run_script(tmp_path, script)
    assert (left.how, reports) == (Outcome.COMPLETE, [(1, 2.0)])


def test_a_released_program_reports_its_last_step_and_its_checkpoint_continues(tmp_path):
    script = """step() {
  i=$((i + 1)); echo $i > "$TUNER_CHECKPOINT_DIR/step"; echo "step $i loss $i"
}
trap 'step; exit' TERM
i=$(cat "$TUNER_CHECKPOINT_DIR/step" 2>/dev/null || echo 0)
echo "$TUNER_STEP $i" >> steps.txt
while [ $i -lt 9 ]; do step; sleep 0.3; done"""
    mail = Mail(Verdict.RELEASE, 2)
    left, reports = run_script(tmp_path, script, mail)
    assert left.how is Outcome.RELEASED
    last = len(reports)  # on a busy machine, another step may come before the signal
    assert 3 <= last < 9
    assert reports == [(step, float(step)) for step in range(1, last + 1)]
    saved = [message for message in mail.sent if isinstance(message, Saved)][-1]
    assert saved.step == last
    left, reports = run_script(
        tmp_path, script, checkpoint=saved.path, from_step=saved.step, last_value=float(last)
    )
    assert (left.how, left.value) == (Outcome.COMPLETE, 9.0)
    assert reports == [(step, float(step)) for step in range(last + 1, 10)]
    assert (tmp_path / "steps.txt").read_text() == f"0 0\n{last} {last}\n"


def test_a_program_that_repeats_steps_of_its_checkpoint_reports_them_once(tmp_path):
    left, _ = run_script(
        tmp_path,
        "echo 1 > $TUNER_CHECKPOINT_DIR/a; echo step 3 loss 3; sleep 9",
        mail := Mail(Verdict.RELEASE, 1),
    )
    saved = [message for message in mail.sent if isinstance(message, Saved)][-1]
    script = "for i in 2 3 4; do echo step $i loss $i; done"
    left, reports = run_script(tmp_path, script, checkpoint=saved.path, from_step=3, last_value=3.0)
    assert (left.how, reports) == (Outcome.COMPLETE, [(4, 4.0)])


def test_checkpoints_are_copied_while_the_program_runs(tmp_path):
    script = """for i in 1 2 3 4; do
  echo $i > "$TUNER_CHECKPOINT_DIR/step"; echo "step $i loss 1"; sleep 0.3
done"""
    mail = Mail()
    run_script(tmp_path, script, mail, save_every_seconds=0.2)
    steps = [message.step for message in mail.sent if isinstance(message, Saved)]
    assert steps
    assert steps == sorted(set(steps))


def test_a_folder_that_cannot_be_copied_is_a_mistake(tmp_path):
    script = """ln -s /etc "$TUNER_CHECKPOINT_DIR/a"
for i in 1 2 3; do echo step $i loss 1; sleep 0.5; done; sleep 9"""
    left, _ = run_script(tmp_path, script, save_every_seconds=0.1)
    assert left.how is Outcome.MISTAKE
    assert left.message == "a folder as a checkpoint holds regular files; a is a link"


def test_untrusted_folders_are_warned_of_and_not_kept(tmp_path):
    script = 'echo 1 > "$TUNER_CHECKPOINT_DIR/step"; echo step 1 loss 1; sleep 9'
    mail = Mail(Verdict.RELEASE, 1)
    mail.is_patient = True
    run_script(tmp_path, script, mail, trusts_folders=False, save_every_seconds=0.0)
    assert not any(isinstance(message, Saved) for message in mail.sent)
    (warning,) = [message for message in mail.sent if isinstance(message, Warned)]
    assert "checkpoints: {folders: trusted}" in warning.text


def test_a_program_that_the_job_told_to_end_is_released(tmp_path):
    for script in ("echo step 1 loss 1; exit 0", "echo step 1 loss 1; kill -TERM $$; sleep 9"):
        mail = LateMail()
        left, _ = run_script(tmp_path, script, mail, params={"x": 1.5, "epochs": 3})
        assert left.how is Outcome.RELEASED


def test_a_program_that_is_short_or_killed_alone_ends_as_it_did(tmp_path):
    left, _ = run_script(tmp_path, "echo step 1 loss 1", params={"x": 1.5, "epochs": 3})
    assert left.how is Outcome.COMPLETE
    left, _ = run_script(tmp_path, "echo step 1 loss 1; kill -TERM $$; sleep 9")
    assert left.how is Outcome.KILLED


def test_reports_behind_a_verdict_in_one_chunk_count_for_a_released_trial(tmp_path):
    lines = "".join(f"step {step} loss {step}\n" for step in (1, 2, 3, 4))
    (tmp_path / "lines.txt").write_text(lines)  # `cat` writes them at once
    script = "cat lines.txt; sleep 9"
    left, reports = run_script(tmp_path, script, Mail(Verdict.RELEASE, 1))
    assert left.how is Outcome.RELEASED
    assert [step for step, _ in reports] == [1, 2, 3, 4]


def test_a_missing_program_is_a_mistake(tmp_path):
    objective_of = {"command": ["no-such-program"], "report": {"pattern": PATTERN}}
    setup = Setup(
        device="cpu",
        n_threads=1,
        objective=objective_of,
        fixed={},
        data_folder="",
        data_seed=0,
        goal=Goal(metric="loss", direction=Direction.MINIMIZE),
        spool=str(tmp_path),
        save_every_seconds=1.0,
        folder=str(tmp_path),
        trials_folder=str(tmp_path / "trials"),
    )
    start = Start(number=3, attempt=1, params={}, seed=5, checkpoint=None, decide_at=())
    left = run_command(setup, PipeLane(start, setup, Mail(), complete=dict))
    assert left.how is Outcome.MISTAKE
    assert left.message.startswith("there is no program no-such-program on this machine")


def test_silence_is_warned_of_once_with_the_last_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "NO_REPORT_SECONDS", 0.2)
    mail = Mail()
    left, _ = run_script(tmp_path, "echo loading; sleep 0.8; echo step 1 loss 1", mail)
    assert left.how is Outcome.COMPLETE
    (warning,) = [message for message in mail.sent if isinstance(message, Warned)]
    assert warning.text.startswith(
        "no report for 0 minutes; reports are expected from lines in which"
    )
    assert warning.text.endswith("the last ones are: loading")


def test_sigint_is_as_usual_in_the_program(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        script = "trap 'echo step 1 loss 3' INT; kill -INT $$; sleep 0.1"
        assert run_script(tmp_path, script)[1] == [(1, 3.0)]
    finally:
        signal.signal(signal.SIGINT, before)
