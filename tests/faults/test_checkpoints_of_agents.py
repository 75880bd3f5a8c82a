"""Guarantee 13: torn files never load, a full disk loses nothing, damage is passed over."""

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
import torch
from agents import AgentProcess, Fleet, open_fleet
from cells import Cells
from servers import open_external

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")


def _cells(folder: Path, *, epochs: int = 30, trials: int = 2) -> Cells:
    return Cells(folder, epochs=epochs, seconds=0.2, every="0.1s", sampler="random", trials=trials)


@contextmanager
def _small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own; filled and emptied by a ballast file."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def _train_on(fleet: Fleet, n_steps: int, ballast: Path) -> None:
    """So many reports more, while what is removed from the disk is filled up at once."""
    n_wanted = fleet.n_reports() + n_steps
    fleet.wait_for(lambda: _fill(ballast) or fleet.n_reports() >= n_wanted, "more reports")


def _checkpoint_steps(fleet: Fleet) -> list[int]:
    return [step for (step,) in fleet.query("select step from tuner.checkpoint order by 1")]


@NEEDS_ROOT
def test_a_full_spool_costs_checkpoints_and_nothing_else_and_says_so(
    fleet: Fleet, tmp_path: Path
) -> None:
    cells = _cells(tmp_path, epochs=40)
    with _small_disk(tmp_path / "home", "4m") as home:
        agent = fleet.start(cells.path, environment={"TUNER_HOME": str(home)}, is_light=True)
        fleet.wait_for(lambda: _checkpoint_steps(fleet), "a registered checkpoint")
        ballast = home / "ballast"
        full = "No space left on device"
        fleet.wait_for(lambda: _fill(ballast) or full in agent.output, "the message")
        assert "is not saved (No space left on device); the trial continues, that of step" in (
            agent.output
        )
        _train_on(fleet, 2, ballast)  # what was in flight is registered by then
        last_good = max(_checkpoint_steps(fleet))
        _train_on(fleet, 5, ballast)
        assert max(_checkpoint_steps(fleet)) == last_good, "the last good one stays"
        ballast.unlink()
        fleet.wait_for(
            lambda: max(_checkpoint_steps(fleet), default=99) > last_good, "checkpoints again"
        )
        assert agent.wait() == 0, agent.output
    assert agent.output.count("No space left on device") < 4, "not at every attempt"
    cells.check(fleet)
    assert fleet.query("select sum(failures + losses) from tuner.lease") == [(0,)]


@NEEDS_ROOT
def test_a_database_without_room_is_waited_for_and_nothing_is_missing(
    tuner_home: object, tmp_path: Path
) -> None:
    cells = _cells(tmp_path, epochs=30, trials=2)
    with open_external() as external, _small_disk(external.folder / "tables", "24m") as disk:
        if external.user:
            os.chown(disk, external.user.uid, external.user.gid)
        with open_fleet(external.url, tmp_path) as fleet:
            _tables_on(fleet, disk)
            agent = fleet.start(cells.path, workers=2, is_light=True)
            fleet.wait_for(lambda: fleet.n_reports() >= 4, "reports")
            ballast = disk / "ballast"
            _fill(ballast)
            fleet.wait_for(lambda: "the database is away" in agent.output, "the message", 40)
            assert "No space left on device" in agent.output
            ballast.unlink()
            assert agent.wait() == 0, agent.output
            assert "the database is back" in agent.output
            cells.check(fleet)
            assert fleet.query("select attempt from tuner.lease") == [(1,)] * 2


def test_a_flipped_byte_in_the_newest_state_falls_back_to_the_one_before(
    fleet: Fleet, tmp_path: Path
) -> None:
    cells = _cells(tmp_path, epochs=40, trials=1)
    first = fleet.start(cells.path, is_light=True)
    fleet.wait_for(lambda: len(_checkpoint_steps(fleet)) == 2, "two checkpoints")
    first.send(signal.SIGKILL)
    first.wait()
    older, newer = _checkpoint_steps(fleet)
    _damage(fleet, newer)
    heir = fleet.start(cells.path, is_light=True)
    assert heir.wait() == 0, heir.output
    assert f"continues here from epoch {older} (attempt 2)" in heir.output
    cells.check(fleet)


def test_a_prepared_pickle_never_runs_even_with_the_right_hash(
    fleet: Fleet, tmp_path: Path
) -> None:
    marker = tmp_path / "was here"
    cells = _cells(tmp_path, epochs=40, trials=1)
    first = fleet.start(cells.path, is_light=True)
    fleet.wait_for(lambda: len(_checkpoint_steps(fleet)) == 2, "two checkpoints")
    first.send(signal.SIGKILL)
    first.wait()
    payload = pickle.dumps(_Touch(str(marker)))
    fleet.execute(
        "update tuner.checkpoint_chunk set content = %s where part = 0", psycopg2.Binary(payload)
    )
    fleet.execute(
        "update tuner.checkpoint set sha256 = %s, n_bytes = %s",
        hashlib.sha256(payload).hexdigest(),
        len(payload),
    )
    heir = fleet.start(cells.path)  # with torch and the real safetensors
    assert heir.wait() == 5, heir.output
    assert not marker.exists()
    ((state, reason),) = fleet.query(
        "select t.state::text, l.reason from trials t join tuner.lease l using (trial_id)"
    )
    assert state == "FAIL"
    assert "cannot be read" in reason


class _Touch:
    """Unpickled, it leaves a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (self.path,))


WRITER = """\
import os, sys
from pathlib import Path
import torch
from tuner.training.checkpoint import save_checkpoint

torch.set_num_threads(1)
for line in sys.stdin:
    child = os.fork()  # each loads nothing anew
    if child:
        print(child, flush=True)
        os.waitpid(child, 0)
        print("dead", flush=True)
        continue
    step = 1000 * int(line)
    while True:
        step += 1
        tree = {"step": step, "w": torch.full((200_000,), float(step))}
        save_checkpoint(Path(sys.argv[1]), "state", tree)
"""


def test_a_writer_that_is_killed_at_any_moment_leaves_the_old_state_or_the_new_one(
    tmp_path: Path,
) -> None:
    from tuner.training.checkpoint import load_checkpoint, save_checkpoint

    save_checkpoint(tmp_path, "state", {"step": 0, "w": torch.zeros(200_000)})
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    seen = set()
    path = tmp_path / "state.safetensors"
    for nth in range(25):
        before = path.stat().st_ino
        writer.stdin.write(f"{nth}\n")
        writer.stdin.flush()
        child = int(writer.stdout.readline())
        while path.stat().st_ino == before:  # on a busy machine, its first state may take a while
            time.sleep(0.001)
        time.sleep(0.0037 * nth)
        os.kill(child, signal.SIGKILL)
        assert writer.stdout.readline() == "dead\n"
        state = load_checkpoint(path)
        assert bool((state["w"] == state["step"]).all()), "two states in one file"
        seen.add(state["step"])
    writer.communicate()
    assert len(seen) > 10, "it was killed at different moments"


def _tables_on(fleet: Fleet, disk: Path) -> None:
    connection = fleet._connect()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"create tablespace small location '{disk}'")
        cursor.execute("alter role fleet set default_tablespace = small")
    connection.close()
    fleet.execute("create table filler (x text) tablespace small")


def _damage(fleet: Fleet, step: int) -> None:
    fleet.execute(
        "update tuner.checkpoint_chunk set content = set_byte(content, 40,"
        " get_byte(content, 40) # 1) where checkpoint_id ="
        " (select checkpoint_id from tuner.checkpoint where step = %s)",
        step,
    )


_FOLDER_TRAIN = """\
import time
from pathlib import Path


def train(trial):
    folder = trial.checkpoint.folder()
    parts = folder / "parts"
    parts.mkdir(exist_ok=True)
    done = sorted(int(path.name) for path in parts.iterdir())
    with (Path(__file__).parent / "begun.txt").open("a") as file:
        file.write(f"{folder} {len(done)} {trial.step}\\n")
    value = float((parts / str(done[-1])).read_text()) if done else 0.0
    for step in range(len(done) + 1, trial.params["epochs"] + 1):
        time.sleep(0.1)
        value = value * 0.75 + trial.params["x"]
        trial.report(step=step, val_loss=value)
        (parts / str(step)).write_text(repr(value))
        trial.checkpoint.save(folder)
"""
_FOLDER_STUDY = """\
name: folders
objective: train.py:train
minimize: val_loss
params: {epochs: 30}
search_space: {x: {int: [2, 2]}}
sampler: random
pruner: none
budget: {trials: 1}
checkpoints: {every: 0.1s, folders: trusted, store: "STORE"}
failures: {lease: 3s, grace: 8s}
"""


@pytest.mark.parametrize(
    "store", ["postgres", pytest.param("file:shared/ck", marks=pytest.mark.long)]
)
def test_a_trial_whose_state_is_a_folder_continues_on_another_machine(
    fleet: Fleet, tmp_path: Path, store: str
) -> None:
    (tmp_path / "train.py").write_text(_FOLDER_TRAIN)
    study, untrusting = tmp_path / "study.yaml", tmp_path / "untrusting.yaml"
    text = _FOLDER_STUDY.replace("STORE", store)
    study.write_text(text)
    untrusting.write_text(text.replace(", folders: trusted", ""))
    homes = [tmp_path / f"home-{n}" for n in range(3)]

    def start(study: Path, home: Path) -> AgentProcess:
        return fleet.start(study, environment={"TUNER_HOME": str(home)}, is_light=True)

    first = start(study, homes[0])
    fleet.wait_for(lambda: len(_checkpoint_steps(fleet)) == 2, "two checkpoints")
    first.send(signal.SIGKILL)
    first.wait()
    older, newer = _checkpoint_steps(fleet)
    if store == "postgres":
        _damage(fleet, newer)
    else:
        ((key,),) = fleet.query("select object_key from tuner.checkpoint where step = %s", newer)
        (tmp_path / "shared" / "ck" / key).write_bytes(b"damaged")
        assert fleet.query("select 1 from tuner.checkpoint_chunk") == []

    other = start(untrusting, homes[1])
    assert other.wait() == 2, other.output
    assert "trial 0 continues from a folder" in other.output
    assert "add `checkpoints: {folders: trusted}`" in other.output
    assert fleet.query("select state, failures, losses from tuner.lease") == [("free", 0, 1)]

    heir = start(study, homes[2])
    assert heir.wait() == 0, heir.output
    assert f"continues here from epoch {older}" in heir.output
    begun = [line.split() for line in (tmp_path / "begun.txt").read_text().splitlines()]
    assert [(int(n), int(step)) for _, n, step in begun] == [(0, 0), (older, older)]
    assert len({folder for folder, _, _ in begun}) == 2
    values, value = [], 0.0
    for _ in range(30):
        value = value * 0.75 + 2
        values.append(value)
    reported = "select intermediate_value from trial_intermediate_values order by step"
    assert [value for (value,) in fleet.query(reported)] == values
    left = [path for path in tmp_path.glob("shared/ck/**/*") if path.is_file()]
    assert left == [], "the objects of a COMPLETE trial are gone"
