"""Checkpoints in a store outside the database, as commands see them."""

import json
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.command import LIGHT, Tuner, wait_until, write_study
from tests.acceptance.test_backup import rows
from tests.stores import BUCKET, KEY, SECRET, open_s3, write_profile

TRAIN = """
import os, time
def train(trial):
    print({k: v for k, v in os.environ.items() if k.startswith(("AWS_", "GOOGLE_", "TUNER_"))})
    state = trial.checkpoint.load() or {"step": 0}
    for step in range(state["step"] + 1, 9):
        trial.report(step=step, val_loss=trial.params["x"] / step)
        trial.checkpoint.save({"step": step})
        while step == 6 and not os.path.exists("GATE"):
            time.sleep(0.05)
            trial.checkpoint.save({"step": step})
"""
SAVED = "select count(*) from tuner.lease where state = 'held' and checkpoint_id is not null"


def _write(folder: Path, store: str, name: str = "plain") -> Path:
    """Trials that save a checkpoint and end when the gate is open."""
    (folder / "train.py").write_text(TRAIN.replace("GATE", str(folder / "gate")))
    path = write_study(
        folder,
        name=name,
        objective="train.py:train",
        params="{epochs: 8}",
        search_space="{x: {float: [0, 1]}}",
        budget="{trials: 1}",
        checkpoints=f'{{every: 0.3s, store: "{store}"}}',
        failures="{lease: 3s}",
    )
    return path.rename(folder / f"{name}.yaml")


def _killed(tuner: Tuner, files: Sequence[Path], **environment: str) -> None:
    """Agents whose trials have a checkpoint, killed."""
    started = [tuner.start("run", file, "--workers", 1, **LIGHT, **environment) for file in files]
    url = tuner.environment["TUNER_STORAGE"]
    wait_until(lambda: rows(url, SAVED)[0] == (len(files),), "every trial has a checkpoint")
    for agent in started:
        os.killpg(agent.pid, signal.SIGKILL)
        agent.wait()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_backup_holds_what_is_in_the_store_if_it_is_told_to(
    tuner: Tuner, empty_url: str, tmp_path: Path
) -> None:
    file = _write(tmp_path, "file:ck")
    _killed(tuner, [file])
    # An agent that is killed may leave an object without its row.
    counted = "select count(*) from tuner.checkpoint where object_key is not null"
    ((n_objects,),) = rows(tuner.environment["TUNER_STORAGE"], counted)
    without = tuner.look("db", "backup", "-o", tmp_path / "without.zip")
    assert f"not included: {n_objects} checkpoint" in without.err
    assert "add --with-checkpoints STUDY.yaml" in without.err
    dump = tmp_path / "with.zip"
    assert not tuner.look("db", "backup", "-o", dump, "--with-checkpoints", file).err
    shutil.rmtree(tmp_path / "ck")
    elsewhere = Tuner(environment={**tuner.environment, "TUNER_STORAGE": empty_url})
    elsewhere.look("db", "restore", dump)
    assert rows(empty_url, "select database_id from tuner.identity") != rows(
        tuner.environment["TUNER_STORAGE"], "select database_id from tuner.identity"
    )
    (tmp_path / "gate").touch()
    finished = elsewhere("run", file, "--workers", 1, "--json", **LIGHT)
    events = [json.loads(line) for line in finished.out.splitlines()]
    (started,) = [event for event in events if event["event"] == "TrialStarted"]
    assert started["from_step"] > 0
    assert _files(tmp_path / "ck") == []


def test_a_deleted_study_takes_its_own_objects_along(tuner: Tuner, tmp_path: Path) -> None:
    files = [_write(tmp_path, "file:ck", name) for name in ("one", "two")]
    _killed(tuner, files)
    n_objects = len(_files(tmp_path / "ck"))
    told = tuner.look("delete", "one", "--yes", "--force").err
    assert "its checkpoints stay in their store, below " in told
    assert (tmp_path / "ck" / told.split("below ")[1].split(";")[0]).is_dir()
    assert len(_files(tmp_path / "ck")) == n_objects
    done = tuner.look("delete", "two", "--yes", "--force", "--file", files[1])
    assert not done.err
    assert 1 <= len(_files(tmp_path / "ck")) < n_objects


def test_the_doctor_looks_at_the_store_of_a_study_file(tuner: Tuner, tmp_path: Path) -> None:
    def look(file: Path) -> tuple[str, str]:
        findings = tuner.look("doctor", "--file", file, "--json", code=None).json
        (found,) = [finding for finding in findings if finding["what"] == "objects"]
        return found["verdict"], found["text"]

    file = _write(tmp_path, "file:ck")
    assert look(file) == ("ok", f"file:{tmp_path / 'ck'} takes and returns checkpoints")
    (tmp_path / "ck").chmod(0o777)
    verdict, text = look(file)
    assert (verdict, "run: chmod o-w" in text) == ("fail", True)
    assert look(_write(tmp_path, "postgres"))[1].endswith("keeps them in the database")


@dataclass(frozen=True, kw_only=True)
class Canary:
    """A store, the variables that open it, and what must not appear anywhere."""

    store: str
    environment: dict[str, str]
    secrets: list[str]
    without_profile: str  # what an agent says that cannot read it


@pytest.fixture(params=["s3", "gs"])
def canary(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Canary]:
    if request.param == "s3":
        with open_s3() as endpoint:
            yield Canary(
                store=f"s3://{BUCKET}/ck",
                environment=write_profile(tmp_path, endpoint),
                secrets=[SECRET, KEY],
                without_profile="have no profile 'moved'",
            )
        return
    from tests.google_store import open_google

    with open_google() as google:
        yield Canary(
            store=f"gs://{BUCKET}/ck",
            environment={
                "TUNER_STORE_PROFILE": str(google.write_account(tmp_path)),
                "GOOGLE_APPLICATION_CREDENTIALS": "of another account",
            },
            secrets=google.secrets,
            without_profile="moved cannot be read",
        )


@pytest.mark.long
def test_a_key_of_the_store_is_nowhere_and_the_users_own_stay(
    tuner: Tuner, tmp_path: Path, canary: Canary
) -> None:
    home = tmp_path / "home"
    environment = {**canary.environment, "TUNER_HOME": str(home)}
    file = _write(tmp_path, canary.store)
    _killed(tuner, [file], **environment)
    url = tuner.environment["TUNER_STORAGE"]
    ((key,), *_) = rows(url, "select object_key from tuner.checkpoint")
    assert "://" not in str(key)
    (tmp_path / "gate").touch()
    finished = tuner("run", file, "--workers", 1, "--json", **LIGHT, **environment)
    events = [json.loads(line) for line in finished.out.splitlines()]
    (started,) = [event for event in events if event["event"] == "TrialStarted"]
    assert started["from_step"] > 0
    printed = tuner.look("logs", "plain", "0", **environment).out
    environment["TUNER_STORE_PROFILE"] = "moved"
    refused = tuner("run", _write(tmp_path, canary.store, "other"), code=1, **environment)
    assert canary.without_profile in refused.err
    assert "of another account" in printed, "the user's own variables stay"
    assert "TUNER_STORE_PROFILE" not in printed
    dump = tmp_path / "dump.zip"
    tuner.look("db", "backup", "-o", dump)
    unpacked = tmp_path / "unpacked"
    shutil.unpack_archive(dump, unpacked)
    texts = [finished.out, finished.err, printed, refused.err]
    texts += [path.read_bytes().decode(errors="replace") for path in _files(unpacked)]
    texts += [path.read_bytes().decode(errors="replace") for path in _files(home)]
    assert not [text for text in texts for secret in canary.secrets if secret in text]
