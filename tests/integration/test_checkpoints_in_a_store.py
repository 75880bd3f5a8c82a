"""Checkpoints outside the database: rows under the fence, objects below the store's own prefix."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from tests.integration.stores import StoreAgent, StoredStudy, report
from tuner.errors import StoreFails
from tuner.storage.objects.files import FileStore
from tuner.storage.objects.own import find_objects
from tuner.study.checkpoint import SavedFile
from tuner.study.lease import Batch, ClaimedTrial, Release

Save = Callable[[ClaimedTrial, int], SavedFile]
KEYS = "select object_key from tuner.checkpoint order by checkpoint_id"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "ck"


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a file to the spool as a worker does."""

    def write(trial: ClaimedTrial, step: int) -> SavedFile:
        content = f"state {step}".encode()
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
        assert agent.store.upload(file)
        reports = [report(file.key, file.step, 1.0 / file.step)]
        assert agent.store.report(Batch(reports=reports, checkpoints=[file])) == frozenset()


def _loaded(agent: StoreAgent, spool: Path, number: int = 0) -> tuple[int, bytes] | None:
    found = agent.store.load_checkpoint(number, spool)
    return None if found is None else (found[0].step, Path(found[1]).read_bytes())


def _objects(root: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in root.rglob("*") if path.is_file())


def test_a_row_holds_a_key_and_the_database_no_content(
    study: StoredStudy, save: Save, root: Path, tmp_path: Path
) -> None:
    agent = study.agent(objects=FileStore(root))
    assert list(root.iterdir()) == [], "the probe is gone"
    _register(agent, save(agent.claim_one(), 3))
    ((database_id,),) = study.query("select database_id from tuner.identity")
    ((key,),) = study.query(KEYS)
    assert key.startswith(f"{database_id}/{study.study_id}/0/1-3-")
    assert (root / key).read_bytes() == b"state 3"
    assert study.query("select 1 from tuner.checkpoint_chunk") == []
    assert _loaded(study.agent(objects=FileStore(root)), tmp_path) == (3, b"state 3")


def test_old_objects_go_with_their_rows_and_the_last_with_the_trial(
    study: StoredStudy, save: Save, root: Path
) -> None:
    agent = study.agent(objects=FileStore(root))
    trial, other = agent.claim(2)
    _register(agent, *(save(trial, step) for step in range(1, 5)), save(other, 1))
    assert _objects(root) == [b"state 1", b"state 3", b"state 4"]
    unregistered = save(trial, 5)
    assert agent.store.upload(unregistered)
    agent.finish(trial)
    assert _objects(root) == [b"state 1"]
    assert not agent.store.upload(save(trial, 6)), "too late"
    assert _objects(root) == [b"state 1"]


def test_an_object_that_another_row_names_stays(study: StoredStudy, save: Save, root: Path) -> None:
    agent = study.agent(objects=FileStore(root))
    trial = agent.claim_one()
    _register(agent, save(trial, 1))
    columns = "study_id, number, attempt, step, sha256, n_bytes, object_key"
    # As after a commit whose answer was lost.
    study.query(f"insert into tuner.checkpoint ({columns}) select {columns} from tuner.checkpoint")
    assert find_objects(study.database, study.study_id).n_objects == 1
    _register(agent, save(trial, 2))
    assert len(study.query(KEYS)) == 2
    assert _objects(root) == [b"state 1", b"state 2"]
    _register(agent, save(trial, 3))
    assert _objects(root) == [b"state 2", b"state 3"]


def test_a_release_uploads_what_is_not_yet_uploaded(
    study: StoredStudy, save: Save, root: Path, tmp_path: Path
) -> None:
    agent = study.agent(objects=FileStore(root))
    file = save(agent.claim_one(), 2)
    release = Release(key=file.key, reason="released", checkpoint=file)
    assert agent.store.end([release]) == frozenset()
    assert _loaded(study.agent(objects=FileStore(root)), tmp_path) == (2, b"state 2")


def test_an_uploaded_checkpoint_is_registered_during_the_upload_of_another_trial(
    study: StoredStudy, save: Save, root: Path
) -> None:
    agent = study.agent(objects=FileStore(root))
    first, second = agent.claim(2)
    ready, slow = save(first, 1), save(second, 1)
    assert agent.store.upload(ready)
    Path(slow.path).unlink()
    os.mkfifo(slow.path)  # its upload waits for a writer
    with ThreadPoolExecutor() as threads:
        upload = threads.submit(agent.store.upload, slow)
        with open(slow.path, "wb"):  # open once the upload reads it
            written = threads.submit(agent.store.report, Batch(checkpoints=[ready]))
            assert written.result(timeout=30) == frozenset()
            assert not upload.done()
    assert not upload.result()


def test_a_lost_agent_registers_nothing(
    study: StoredStudy, save: Save, root: Path, tmp_path: Path
) -> None:
    lost, heir = (study.agent(objects=FileStore(root)) for _ in range(2))
    trial = lost.claim_one()
    _register(lost, save(trial, 1))
    heir.claim_one(silent=[heir.sees(lost)])
    late = save(trial, 2)
    assert lost.store.upload(late)
    assert lost.store.report(Batch(checkpoints=[late])) == {trial.key}
    assert _loaded(heir, tmp_path) == (1, b"state 1")


@pytest.mark.parametrize("damage", ["gone", "other bytes", "shorter", "a link"])
def test_a_missing_or_damaged_object_falls_back_to_the_one_before(
    study: StoredStudy, save: Save, root: Path, tmp_path: Path, damage: str
) -> None:
    agent = study.agent(objects=FileStore(root))
    trial = agent.claim_one()
    _register(agent, save(trial, 1), save(trial, 2))
    newest = root / study.query(KEYS)[-1][0]
    match damage:
        case "gone":
            newest.unlink()
        case "other bytes":
            newest.write_bytes(b"STATE 2")
        case "shorter":
            newest.write_bytes(b"stat")
        case _:
            newest.rename(tmp_path / "elsewhere")
            newest.symlink_to(tmp_path / "elsewhere")
    assert _loaded(agent, tmp_path) == (1, b"state 1")


@pytest.mark.parametrize(
    "key",
    [
        "../secret",
        "/etc/passwd",
        "{id}/1/0/../../../../secret",
        "{id}/1/0/..",
        "{id}/1/0/",
        "{id}/1/0/a/b",
        "{id}//0/1-1-ab",
        "s3://elsewhere/x",
        "{id}/1/0/1-1-ab\n",
    ],
)
def test_a_key_that_leads_elsewhere_is_never_read_or_removed(
    study: StoredStudy, save: Save, root: Path, tmp_path: Path, key: str
) -> None:
    agent = study.agent(objects=FileStore(root))
    trial = agent.claim_one()
    _register(agent, save(trial, 1), save(trial, 2))
    (tmp_path / "secret").write_bytes(b"state 2")
    ((database_id,),) = study.query("select database_id from tuner.identity")
    newest = "where checkpoint_id = (select max(checkpoint_id) from tuner.checkpoint)"
    study.query(f"update tuner.checkpoint set object_key = %s {newest}", key.format(id=database_id))
    assert _loaded(agent, tmp_path) == (1, b"state 1")
    _register(agent, *(save(trial, step) for step in (3, 4, 5)))
    agent.finish(trial)
    assert (tmp_path / "secret").read_bytes() == b"state 2"


def test_a_restored_database_reads_old_objects_and_never_removes_them(
    study: StoredStudy, save: Save, root: Path, tmp_path: Path
) -> None:
    agent = study.agent(objects=FileStore(root))
    trial = agent.claim_one()
    _register(agent, save(trial, 1), save(trial, 2))
    study.query("update tuner.identity set database_id = gen_random_uuid()")  # as by a restore
    heir = study.agent(objects=FileStore(root))
    again = heir.claim_one(silent=[heir.sees(agent)])
    assert _loaded(heir, tmp_path) == (2, b"state 2")
    _register(heir, *(save(again, step) for step in (3, 4, 5)))
    assert _objects(root) == [b"state 1", b"state 2", b"state 4", b"state 5"]
    heir.finish(again)
    assert _objects(root) == [b"state 1", b"state 2"]


def test_a_machine_without_the_store_says_so(
    study: StoredStudy, save: Save, root: Path, tmp_path: Path
) -> None:
    agent = study.agent(objects=FileStore(root))
    _register(agent, save(agent.claim_one(), 1))
    with pytest.raises(StoreFails, match=r"add `checkpoints: \{store: \.\.\.\}`"):
        _loaded(study.agent(), tmp_path)


def test_a_store_that_takes_nothing_is_refused_at_the_start(
    study: StoredStudy, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFails, match="the checkpoint store file:"):
        study.agent(objects=FileStore(tmp_path / "file"))


def test_a_store_that_fails_costs_checkpoints_and_nothing_else(
    study: StoredStudy, save: Save, root: Path, tmp_path: Path
) -> None:
    agent = study.agent(objects=FileStore(root))
    trial = agent.claim_one()
    _register(agent, save(trial, 1))
    root.chmod(0o777)
    with pytest.raises(StoreFails):
        agent.store.upload(save(trial, 2))
    release = Release(
        key=trial.key,
        reason="released",
        reports=[report(trial, 2, 0.5)],
        checkpoint=save(trial, 2),
    )
    assert agent.store.end([release]) == frozenset()
    root.chmod(0o700)
    assert study.values(0) == {1: 1.0, 2: 0.5}
    assert _loaded(agent, tmp_path) == (1, b"state 1")
