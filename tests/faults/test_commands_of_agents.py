"""A command whose agent is killed: nothing of it stays, and another machine continues the trial."""

import signal
import time
from pathlib import Path

from agents import Fleet

from tuner.processes import descendants_of

# It forks, leaves its session and ignores SIGTERM, as launchers do; the state is one small file.
MAIN = """\
trap '' TERM
setsid sleep 1000 &
echo $! >> children.txt
folder=$TUNER_CHECKPOINT_DIR
read -r step value < "$folder/state" || { step=0; value=0; }
echo "$TUNER_STEP $step $folder" >> begun.txt
while [ $step -lt 30 ]; do
  sleep 0.2
  step=$((step + 1)); value=$((value * 3 % 1000 + 7))
  echo "step $step loss $value"
  echo "$step $value" > "$folder/new" && mv "$folder/new" "$folder/state"
done
"""
STUDY = """\
name: command
objective:
  command: [bash, main.sh, "{x}"]
  report: {pattern: 'step (?P<step>\\d+) loss (?P<loss>\\d+)'}
minimize: loss
params: {epochs: 30}
search_space: {x: {int: [1, 2]}}
sampler: random
pruner: none
budget: {trials: 1}
checkpoints: {every: 0.3s, folders: trusted}
failures: {lease: 2s, grace: 10s}
"""


def _values() -> list[float]:
    values, value = [], 0
    for _ in range(30):
        value = value * 3 % 1000 + 7
        values.append(float(value))
    return values


def test_a_killed_agent_leaves_no_process_and_another_machine_continues(
    fleet: Fleet, tmp_path: Path
) -> None:
    (tmp_path / "main.sh").write_text(MAIN)
    study = tmp_path / "study.yaml"
    study.write_text(STUDY)
    first = fleet.start(study, environment={"TUNER_HOME": str(tmp_path / "one")})
    fleet.wait_for(lambda: fleet.n_reports() >= 4, "four reports")
    fleet.wait_for(lambda: fleet.query("select 1 from tuner.checkpoint"), "a checkpoint")
    below = descendants_of(first.process.pid)
    child = int((tmp_path / "children.txt").read_text())
    assert child in below
    first.send(signal.SIGKILL)
    first.wait()
    until = time.monotonic() + 10
    while any(_is_running(pid) for pid in below):
        assert time.monotonic() < until, "a process of the killed agent is left"
        time.sleep(0.1)

    heir = fleet.start(study, environment={"TUNER_HOME": str(tmp_path / "two")})
    assert heir.wait() == 0, heir.output
    begun = [line.split() for line in (tmp_path / "begun.txt").read_text().splitlines()]
    assert len(begun) == 2
    assert len({folder for _, _, folder in begun}) == 2
    step_given, step_found = int(begun[1][0]), int(begun[1][1])
    assert 0 < step_found <= step_given
    reported = "select intermediate_value from trial_intermediate_values order by step"
    assert [value for (value,) in fleet.query(reported)] == _values()
    assert fleet.query("select attempt from tuner.lease") == [(2,)]


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
