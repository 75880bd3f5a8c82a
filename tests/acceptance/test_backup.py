"""`tuner db backup` while agents train, and a restore that goes on with exactly the rest."""

import json
import os
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.acceptance.command import LIGHT, Tuner, wait_until, write_study
from tests.postgres import find_system_binaries
from tuner.errors import UsageError
from tuner.storage.connections.connection import open_database_url, parse_url, raw_closing
from tuner.storage.embedded.binaries import find_binaries
from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server
from tuner.storage.schema.backup import restore_backup
from tuner.storage.schema.migrations import migrate

N_TRIALS = 3


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    parts = make_url(url)
    raw = psycopg2.connect(host=parts.query["host"], user="tuner", dbname=parts.database)
    with raw, raw.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetchall()
    raw.close()
    return found


TRAIN = """
import os, time
def train(trial):
    state = trial.checkpoint.load() or {"step": 0}
    for step in range(state["step"] + 1, 9):
        time.sleep(0.3 if step < 6 and not os.path.exists("GATE") else 0)
        trial.report(step=step, val_loss=trial.params["x"] / step)
        trial.checkpoint.save({"step": step})
        while step == 6 and not os.path.exists("GATE"):
            time.sleep(0.05)
"""


def gated_study(folder: Path) -> Path:
    """Trials that save a checkpoint and end when the gate is open."""
    (folder / "train.py").write_text(TRAIN.replace("GATE", str(folder / "gate")))
    return write_study(
        folder,
        objective="train.py:train",
        params="{epochs: 8}",
        search_space="{x: {float: [0, 1]}}",
        budget=f"{{trials: {N_TRIALS}}}",
        checkpoints="{every: 1s}",
        failures="{lease: 3s}",
    )


def pg_dump(server: Server, url: str, file: Path) -> None:
    binaries = find_binaries(Path(os.environ["TUNER_HOME"]) / "postgres", None)
    login = ["-h", str(server.socket_folder), "-U", "tuner", str(make_url(url).database)]
    with file.open("wb") as output:
        subprocess.run([binaries / "pg_dump", *login], stdout=output, check=True)


def psql(server: Server, url: str, file: Path) -> None:
    login = ["-h", str(server.socket_folder), "-U", "tuner", "-d", str(make_url(url).database)]
    command = [find_system_binaries() / "psql", "-Xq", "-v", "ON_ERROR_STOP=1", *login]
    subprocess.run([*command, "-f", file], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("way", ["backup", "pg_dump"])
def test_a_backup_of_a_running_study_goes_on_elsewhere(
    tuner: Tuner, fresh_tuner: Tuner, server: Server, empty_url: str, tmp_path: Path, way: str
) -> None:
    file = gated_study(tmp_path)
    url = tuner.environment["TUNER_STORAGE"]
    agent = tuner.start("run", file, "--workers", 2, **LIGHT)
    saved = "select count(*) from tuner.lease where state = 'held' and checkpoint_id is not null"
    wait_until(lambda: rows(url, saved)[0] == (2,), "both trials have a checkpoint")
    dump = tmp_path / "studies.zip"
    if way == "backup":
        done = tuner("db", "backup", "-o", dump)
        assert done.out.startswith(f"wrote {dump} (")
        assert dump.stat().st_mode & 0o777 == 0o600
    else:
        pg_dump(server, url, dump)
    os.killpg(agent.pid, signal.SIGKILL)
    agent.wait()
    if way == "backup":
        # Elsewhere is another home, with an embedded server of its own.
        elsewhere = fresh_tuner
        assert f"restored {dump}" in elsewhere("db", "restore", dump).out
    else:
        psql(server, empty_url, dump)
        elsewhere = Tuner(environment={**tuner.environment, "TUNER_STORAGE": empty_url})
    (tmp_path / "gate").touch()
    before = elsewhere.look("trials", "plain", "--json").json
    assert [trial["number"] for trial in before][:2] == [0, 1]
    finished = elsewhere("run", file, "--workers", 2, "--json", **LIGHT)
    events = [json.loads(line) for line in finished.out.splitlines()]
    started = [event for event in events if event["event"] == "TrialStarted"]
    resumed = [event for event in started if event["from_step"] > 0]
    assert len(resumed) == 2, started
    trials = elsewhere.look("trials", "plain", "--json").json
    assert [trial["number"] for trial in trials] == list(range(N_TRIALS))
    assert {trial["state"] for trial in trials} == {"COMPLETE"}
    assert {trial["attempt"] for trial in trials[:2]} == {2}
    assert {trial["steps"] for trial in trials} == {8}
    # Numbers that the database gives out go on where they were.
    elsewhere("extend", "plain", "--trials", "+1")
    elsewhere("enqueue", "plain", "x=0.01")
    assert len(elsewhere.look("trials", "plain", "--json").json) == N_TRIALS + 1


@pytest.fixture
def backup(finished: Tuner, tmp_path: Path) -> Path:
    """Of a finished study."""
    file = tmp_path / "finished.zip"
    finished.look("db", "backup", "--output", file)
    return file


@pytest.fixture
def empty(tuner_home: Home, empty_url: str) -> Iterator[Tuner]:
    tuner = Tuner(environment={"TUNER_HOME": str(tuner_home.path), "TUNER_STORAGE": empty_url})
    yield tuner
    tuner.close()


def test_what_comes_back_is_what_was_there(finished, empty, backup):
    held = json.loads(empty("db", "restore", backup, "--json").out)
    assert (held["studies"], held["trials"]) == (1, 2)
    for words in (("trials", "plain", "--json"), ("show", "plain", "1", "--json")):
        assert empty.look(*words).json == finished.look(*words).json
    refused = empty("db", "restore", backup, code=2)
    assert "the database holds 1 study already; a backup is restored into an empty" in refused.err


def test_an_upgraded_database_without_studies_is_empty_enough(empty, backup):
    empty.look("db", "upgrade")
    empty.look("db", "restore", backup)
    assert empty.look("best", "plain").out


def test_an_older_schema_without_studies_is_empty_enough(empty, backup):
    database = open_database_url(parse_url(empty.environment["TUNER_STORAGE"]))
    migrate(database, 2)  # as a restore of an older file leaves it that failed
    database.close()
    empty.look("db", "restore", backup)
    assert empty.look("best", "plain").out


def test_a_study_that_is_made_meanwhile_is_not_mixed_with_the_restored_ones(empty, backup):
    database = open_database_url(parse_url(empty.environment["TUNER_STORAGE"]))
    migrate(database)
    raw = database.open_raw()
    with ThreadPoolExecutor() as pool, raw_closing(raw):
        with raw.cursor() as cursor:
            cursor.execute("begin; insert into studies (study_name) values ('quick')")
            restored = pool.submit(restore_backup, database, backup)
            blocked = "select 1 from pg_locks where not granted"
            wait_until(lambda: rows(empty.environment["TUNER_STORAGE"], blocked), "it waits")
            cursor.execute("commit")
        with pytest.raises(UsageError, match="holds 1 study already"):
            restored.result(30)
    database.close()


def test_a_backup_overwrites_nothing_and_leaves_nothing_behind(finished, backup, tmp_path):
    content = backup.read_bytes()
    refused = finished.look("db", "backup", "-o", backup, code=2)
    assert refused.err == f"tuner: {backup} exists already; name another file with -o\n"
    assert backup.read_bytes() == content
    refused = finished.look("db", "backup", "-o", tmp_path / "none" / "x.zip", code=1)
    assert "cannot write" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == [backup.name]


def _damaged(backup: Path, folder: Path) -> Iterator[tuple[Path, int, str]]:
    content = backup.read_bytes()
    yield folder / "none.zip", 2, "cannot read"
    for name, change in {
        "empty": b"",
        "text": b"-- PostgreSQL database dump",
        "torn": content[: len(content) // 2],
    }.items():
        (folder / name).write_bytes(change)
        yield folder / name, 2, "is not a backup made by `tuner db backup`"
    with zipfile.ZipFile(backup) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts["manifest.json"])
    trials = bytearray(parts["optuna.trials"])
    for name, changes, code, sentence in (
        ("newer", {"schema_version": 99}, 4, "upgrade tuner"),
        ("optuna", {"optuna_revision": "v9"}, 4, "upgrade tuner"),
        ("format", {"format": "other"}, 2, "is not a backup"),
        ("fields", {"more": 1}, 2, "is not a backup"),
        ("tables", {"tables": [{"name": "pg_authid", "columns": [], "n_rows": 0}]}, 4, "damaged"),
        ("version", {"schema_version": "3"}, 2, "is not a backup"),
        ("revision", {"optuna_revision": ["v3.2.0.a"]}, 2, "is not a backup"),
        ("name", {"tables": [{"name": [], "columns": [], "n_rows": 0}]}, 2, "is not a backup"),
        ("column", {"tables": [{"name": "x", "columns": [{}], "n_rows": 0}]}, 2, "is not a backup"),
    ):
        changed = {**parts, "manifest.json": json.dumps({**manifest, **changes}).encode()}
        yield _zip(folder / name, changed), code, sentence
    deep = {**parts, "manifest.json": b"[" * 200_000}
    yield _zip(folder / "deep", deep), 2, "is not a backup"
    nothing = "; nothing was restored"
    yield _zip(folder / "rows", {**parts, "optuna.trials": bytes(trials[:-20])}), 4, nothing
    gone = {k: v for k, v in parts.items() if k != "optuna.trials"}
    yield _zip(folder / "gone", gone), 4, nothing
    whole = _zip(folder / "whole", parts)
    for entry, code, sentence in (
        ("manifest.json", 2, "is not a backup"),
        ("optuna.trials", 4, nothing),
    ):
        for name, place, byte in (("encrypted", 6, 1), ("packed", 8, 99), ("flipped", None, 0)):
            file = folder / f"{name}-{entry}"
            file.write_bytes(_changed(whole, entry, place, byte))
            yield file, code, sentence


def _changed(file: Path, entry: str, place: int | None, byte: int) -> bytes:
    """With another byte in an entry's headers, or in its content."""
    with zipfile.ZipFile(file) as archive:
        start = archive.getinfo(entry).header_offset
    content = bytearray(file.read_bytes())
    if place is None:
        content[start + 30 + len(entry)] ^= 0xFF
        return bytes(content)
    content[start + place] = byte
    name = content.rindex(entry.encode())  # in the directory at the end
    content[name - 46 + place + 2] = byte
    return bytes(content)


def _zip(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_a_damaged_or_strange_file_restores_nothing(empty, backup, tmp_path, capfd, monkeypatch):
    from tuner.cli.main import main

    monkeypatch.setenv("TUNER_STORAGE", empty.environment["TUNER_STORAGE"])
    for file, code, sentence in _damaged(backup, tmp_path):
        assert main(["db", "restore", str(file)]) == code, file
        shown = capfd.readouterr()
        assert sentence in shown.err
        assert shown.err.count("\n") == 1, shown.err
        assert shown.out == ""
    assert empty("status").out.startswith("no study yet")
    empty("db", "restore", backup)
