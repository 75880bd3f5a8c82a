"""Checkpoints in the database: what is registered under the fence exists, nothing else."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from tests.integration.stores import StoreAgent, StoredStudy, report
from tuner.storage.work.spooled import CHUNK_BYTES
from tuner.study.checkpoint import SavedFile
from tuner.study.lease import Batch, ClaimedTrial, Release

Save = Callable[..., SavedFile]
N_CHECKPOINTS = "select count(*) from tuner.checkpoint"
N_CHUNKS = "select count(*) from tuner.checkpoint_chunk"


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a file to the spool as a worker does."""

    def write(trial: ClaimedTrial, step: int, content: bytes = b"") -> SavedFile:
        content = content or f"state {step}".encode()
        path = tmp_path / f"{trial.key.number}-{trial.key.attempt}-{step}"
        path.write_bytes(content)
        return SavedFile(
            key=trial.key,
            step=step,
            path=str(path),
            sha256=sha256(content).hexdigest(),
            n_bytes=len(content),
        )

    return write


def _register(agent: StoreAgent, *files: SavedFile) -> None:
    for file in files:
        reports = [report(file.key, file.step, 1.0 / file.step)]
        assert agent.store.report(Batch(reports=reports, checkpoints=[file])) == frozenset()


def _loaded(agent: StoreAgent, number: int = 0) -> tuple[int, bytes] | None:
    with TemporaryDirectory() as spool:
        found = agent.store.load_checkpoint(number, Path(spool))
        content = None if found is None else (found[0].step, Path(found[1]).read_bytes())
        assert len(list(Path(spool).iterdir())) == (found is not None)
    return content


@pytest.mark.parametrize(
    "n_bytes",
    [1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 17, 16 * CHUNK_BYTES, 17 * CHUNK_BYTES],
)
def test_a_checkpoint_comes_back_byte_by_byte(
    study: StoredStudy, save: Save, n_bytes: int, tmp_path: Path
) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    content = Random(n_bytes).randbytes(n_bytes)
    _register(agent, save(trial, 3, content))
    found = agent.store.load_checkpoint(0, tmp_path)
    assert found is not None
    checkpoint, path = found
    loaded = Path(path).read_bytes()
    assert (checkpoint.step, checkpoint.n_bytes, loaded == content) == (3, n_bytes, True)
    assert study.query(N_CHUNKS) == [(-(-n_bytes // CHUNK_BYTES),)]


def test_a_file_to_resume_from_is_private(study: StoredStudy, save: Save, tmp_path: Path) -> None:
    agent = study.agent()
    _register(agent, save(agent.claim_one(), 3))
    found = agent.store.load_checkpoint(0, tmp_path)
    assert found is not None
    assert Path(found[1]).stat().st_mode & 0o077 == 0


def test_a_heir_gets_the_checkpoint_and_the_history_up_to_it(
    study: StoredStudy, save: Save
) -> None:
    lost, heir = study.agent(), study.agent()
    trial = lost.claim_one()
    reports = [report(trial, step, 1.0 / step) for step in (1, 2, 3, 4)]
    lost.store.report(Batch(reports=reports, checkpoints=[save(trial, 3)]))
    again = heir.claim_one(silent=[heir.sees(lost)])
    assert again.checkpoint is not None
    assert again.checkpoint.step == 3
    assert again.history == {1: 1.0, 2: 0.5, 3: 1.0 / 3}
    assert _loaded(heir) == (3, b"state 3")


def test_the_two_newest_are_kept(study: StoredStudy, save: Save) -> None:
    agent = study.agent()
    trial, other = agent.claim(2)
    _register(agent, *(save(trial, step) for step in range(1, 6)), save(other, 1))
    assert study.query("select number, step from tuner.checkpoint order by 1, 2") == [
        (0, 4),
        (0, 5),
        (1, 1),
    ]
    assert study.query(N_CHUNKS) == [(3,)]
    pointed = study.query(
        "select step from tuner.lease join tuner.checkpoint using (checkpoint_id)"
    )
    assert sorted(pointed) == [(1,), (5,)]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(study: StoredStudy, save: Save) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    _register(agent, save(trial, 1), save(trial, 2))
    damage = "update tuner.checkpoint_chunk set content = 'other' where checkpoint_id = {}"
    newest = "(select max(checkpoint_id) from tuner.checkpoint)"
    study.query(damage.format(newest))
    assert _loaded(agent) == (1, b"state 1")
    study.query(damage.format("any(select checkpoint_id from tuner.checkpoint)"))
    assert _loaded(agent) is None


def test_missing_parts_count_as_damage(study: StoredStudy, save: Save) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    _register(agent, save(trial, 1), save(trial, 2, b"x" * (CHUNK_BYTES + 5)))
    study.query("delete from tuner.checkpoint_chunk where part = 1")
    assert _loaded(agent) == (1, b"state 1")


@pytest.mark.parametrize("damage", ["missing", "other bytes", "shorter"])
def test_a_spool_file_that_is_no_longer_what_was_saved_keeps_the_old_pointer(
    study: StoredStudy, save: Save, damage: str
) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    _register(agent, save(trial, 1))
    newer = save(trial, 2)
    if damage == "missing":
        Path(newer.path).unlink()
    else:
        Path(newer.path).write_bytes(b"STATE 2" if damage == "other bytes" else b"stat")
    batch = Batch(reports=[report(trial, 2, 0.5)], checkpoints=[newer])
    assert agent.store.report(batch) == frozenset()
    assert study.values(0) == {1: 1.0, 2: 0.5}
    assert _loaded(agent) == (1, b"state 1")
    release = Release(key=trial.key, reason="released", checkpoint=newer)
    assert agent.store.end([release]) == frozenset()
    again = agent.claim_one()
    assert again.checkpoint is not None
    assert (again.checkpoint.step, again.history) == (1, {1: 1.0})


def test_a_release_registers_its_checkpoint(study: StoredStudy, save: Save) -> None:
    agent, other = study.agent(), study.agent()
    trial = agent.claim_one()
    reports = [report(trial, step, 1.0) for step in (1, 2)]
    file = save(trial, 2)
    release = Release(key=trial.key, reason="released", reports=reports, checkpoint=file)
    assert agent.store.end([release]) == frozenset()
    again = other.claim_one()
    assert again.checkpoint is not None
    assert (again.checkpoint.step, again.checkpoint.sha256) == (2, file.sha256)
    assert again.history == {1: 1.0, 2: 1.0}


def test_only_the_holder_registers_a_checkpoint(study: StoredStudy, save: Save) -> None:
    lost, heir = study.agent(), study.agent()
    trial = lost.claim_one()
    _register(lost, save(trial, 1))
    heir.claim_one(silent=[heir.sees(lost)])
    late = save(trial, 2)
    assert lost.store.report(Batch(checkpoints=[late])) == {trial.key}
    release = Release(key=trial.key, reason="released", checkpoint=late)
    assert lost.store.end([release]) == {trial.key}
    assert study.query(N_CHECKPOINTS) == [(1,)]
    assert _loaded(heir) == (1, b"state 1")


def test_the_same_checkpoint_twice_is_harmless(study: StoredStudy, save: Save) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    first, second = save(trial, 1), save(trial, 2)
    _register(agent, first, second, second)
    assert _loaded(agent) == (2, b"state 2")
    damage = "update tuner.checkpoint_chunk set content = 'other' where checkpoint_id >= %s"
    ((newest,),) = study.query("select max(checkpoint_id) from tuner.checkpoint")
    study.query(damage, newest)
    assert _loaded(agent) == (2, b"state 2")


def test_an_end_drops_the_trials_checkpoints_and_no_others(study: StoredStudy, save: Save) -> None:
    agent = study.agent()
    ended, other = agent.claim(2)
    _register(agent, save(ended, 1), save(ended, 2), save(other, 1))
    agent.finish(ended)
    assert study.query("select number from tuner.checkpoint") == [(1,)]
    assert study.query(N_CHUNKS) == [(1,)]
    assert study.lease(0, "checkpoint_id") == (None,)
    assert _loaded(agent, 0) is None
    assert _loaded(agent, 1) == (1, b"state 1")
