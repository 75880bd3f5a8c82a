"""Owner, worker and reader: `tuner db grant`, and what each may do, by a real Postgres."""

import json
import re
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import optuna
import psycopg2
import pytest

from tests.acceptance.command import LIGHT, Tuner, write_study
from tests.acceptance.roles import (
    OWNER,
    READER,
    STRANGER,
    WORKER,
    login_roles,
    owned_database,
    query_as,
    url_as,
)
from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server

TRAIN = """\
def train(trial):
    value = float("nan") if trial.params["l1"] else trial.params["learning_rate"]
    for step in range(1, 4):
        trial.report(step=step, val_loss=value / step)
        trial.checkpoint.save({"step": step})
"""
DENIED = re.compile(r"tuner: the role '.*' may not do this \(.*\); the owner of the studies .*\n")


@pytest.fixture(scope="module")
def roles(server: Server, tuner_home: Home) -> Iterator[None]:
    with login_roles(server, tuner_home):
        yield


@pytest.fixture(scope="module")
def granted(server: Server, roles: None) -> Iterator[str]:
    """A database of the owner, with a worker and a reader."""
    with owned_database(server, "granted") as database:
        tuner = Tuner(environment={"TUNER_STORAGE": url_as(server, database, OWNER)})
        tuner.look("db", "upgrade")
        tuner.look("db", "grant", "worker", WORKER)
        tuner.look("db", "grant", "reader", READER)
        yield database


@pytest.fixture
def as_role(server: Server, tuner_home: Home, granted: str) -> Iterator[dict[str, Tuner]]:
    tuners = {
        role: Tuner(
            environment={
                "TUNER_HOME": str(tuner_home.path),
                "TUNER_STORAGE": url_as(server, granted, role),
            }
        )
        for role in (OWNER, WORKER, READER, STRANGER)
    }
    yield tuners
    for tuner in tuners.values():
        tuner.close()


@pytest.fixture(scope="module")
def study(
    server: Server, tuner_home: Home, granted: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A study that the worker has run; its first trial fails."""
    folder = tmp_path_factory.mktemp("roles")
    (folder / "train.py").write_text(TRAIN)
    file = write_study(
        folder,
        objective="train.py:train",
        search_space="{learning_rate: {float: [1e-3, 1e-1]}, l1: {choice: [0.0, 1e+38]}}",
        sampler="tpe",
        pruner="asha",
        budget="{trials: 5}",
        enqueue="[{l1: 1e+38}, {l1: 0.0}]",
        failures="{retries: 0}",
    )
    worker = Tuner(
        environment={
            "TUNER_HOME": str(tuner_home.path),
            "TUNER_STORAGE": url_as(server, granted, WORKER),
        }
    )
    worker("run", file, "--workers", 2, **LIGHT)
    return file


def test_a_worker_runs_and_steers_a_study(as_role, study):
    tuner = as_role[WORKER]
    status = tuner.look("status", "plain", "--json").json
    assert status["state"] == "finished"
    n_before = len(tuner.look("trials", "plain", "--json").json)
    tuner.look("extend", "plain", "--trials", "+1")
    tuner.look("pause", "plain", "--reason", "a test")
    tuner.look("resume", "plain")
    tuner.look("drain", "plain", socket.gethostname(), "--reason", "a test")
    tuner.look("undrain", "plain", socket.gethostname())
    tuner.look("enqueue", "plain", "l1=0.0")
    tuner.look("retry", "plain", "0")
    tuner("run", study, "--workers", 2, **LIGHT)
    tuner.look("stop", "plain")
    tuner.look("resume", "plain")
    assert len(tuner.look("trials", "plain", "--json").json) == n_before + 2


def test_a_worker_deletes_no_study_and_makes_no_table(as_role, study, server, granted):
    refused = as_role[WORKER].look("delete", "plain", "--yes", code=4)
    assert DENIED.fullmatch(refused.err), refused.err
    assert refused.out == ""
    for statement in (
        "create table mine (n int)",
        "create table tuner.mine (n int)",
        "create schema mine",
        "drop table trials",
        "drop schema tuner cascade",
        "alter table trials add column mine int",
        "truncate tuner.lease cascade",
        "delete from trials",
        "delete from studies",
        "delete from tuner.lease",
        "delete from tuner.event",
        "insert into tuner.migration values (99)",
        "update alembic_version set version_num = 'x'",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query_as(server, granted, WORKER, statement)
    assert as_role[WORKER].look("status", "plain", "--json").json["name"] == "plain"


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("status", "plain"),
        ("trials", "plain", "--csv"),
        ("show", "plain", "0"),
        ("logs", "plain", "0", "--follow"),
        ("best", "plain", "--json"),
    ],
)
def test_a_reader_looks_at_everything(as_role, study, command):
    looked = as_role[READER].look(*command)
    assert looked.out or command[0] == "logs"
    assert "permission" not in looked.err


def test_a_reader_uses_optunas_own_tools(study, server, granted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = optuna.storages.RDBStorage(url_as(server, granted, READER))
        loaded = optuna.load_study(study_name="plain", storage=storage)
        assert len(loaded.get_trials()) >= 5
        storage.remove_session()
        storage.engine.dispose()


@pytest.mark.parametrize(
    "command",
    [
        ("run",),
        ("pause", "plain"),
        ("drain", "plain", socket.gethostname()),
        ("extend", "plain", "--trials", "+1"),
        ("enqueue", "plain", "l1=0.0"),
        ("retry", "plain", "0"),
        ("delete", "plain", "--yes"),
    ],
)
def test_a_reader_changes_nothing(as_role, study, command, server, granted):
    ((limit,),) = query_as(server, granted, OWNER, "select limit_trials from tuner.study")
    query_as(server, granted, OWNER, "update tuner.study set limit_trials = 99")  # more to run
    before = _rows(server, granted)
    reader = as_role[READER]
    if command == ("run",):
        refused = reader(*command, study, "--workers", "1", code=4, **LIGHT)
    else:
        refused = reader.look(*command, code=4)
    assert DENIED.search(refused.err), refused.err
    assert refused.err.count("\n") == 1 or command == ("run",)
    assert refused.out == ""
    assert _rows(server, granted) == before
    query_as(server, granted, OWNER, f"update tuner.study set limit_trials = {limit}")


def _rows(server, database):
    tables = ("studies", "trials", "tuner.study", "tuner.lease", "tuner.event", "tuner.agent")
    return [
        query_as(server, database, OWNER, f"select count(*), max(x::text) from {table} x")
        for table in tables
    ]


def test_a_role_without_rights_is_told_who_gives_them(as_role):
    for command in ("status", "doctor"):
        refused = as_role[STRANGER].look(command, code=None)
        assert refused.code == (4 if command == "status" else 1)
        assert "tuner db grant worker" in refused.err + refused.out


def test_rights_can_be_lowered_and_taken_back(as_role, server, granted):
    owner, stranger = as_role[OWNER], as_role[STRANGER]
    assert owner.look("db", "grant", "worker", STRANGER).out == (
        f"{STRANGER} may run and steer studies; it cannot delete them or change the schema\n"
    )
    query_as(server, granted, STRANGER, "update tuner.study set n_agents = n_agents")
    owner.look("db", "grant", "reader", STRANGER)
    assert stranger.look("status").out
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        query_as(server, granted, STRANGER, "update tuner.study set n_agents = n_agents")
    owner.look("db", "grant", "none", STRANGER)
    stranger.look("status", code=4)


def test_tables_of_later_versions_are_covered(server, granted):
    query_as(server, granted, OWNER, "create table tuner.later (n int)")
    query_as(server, granted, WORKER, "insert into tuner.later values (1)")
    assert query_as(server, granted, READER, "select n from tuner.later") == [(1,)]
    for role, statement in ((WORKER, "delete from tuner.later"), (READER, "update tuner.later")):
        statement += " set n = 2" if "update" in statement else ""
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            query_as(server, granted, role, statement)
    query_as(server, granted, OWNER, "drop table tuner.later")


@pytest.mark.parametrize(
    ("by", "role", "code", "sentence"),
    [
        (
            OWNER,
            "t_workr",
            2,
            "tuner: this database server has no role 't_workr' (did you mean 't_worker'?); an "
            'administrator makes one with `create role "t_workr" login`\n',
        ),
        (OWNER, OWNER, 2, "tuner: 't_owner' owns the tables and keeps every right; name"),
        (
            WORKER,
            READER,
            4,
            "tuner: 't_worker' cannot grant rights on these tables: they belong to",
        ),
        (READER, READER, 4, "cannot grant rights on these tables: they belong to 't_owner'"),
    ],
)
def test_a_grant_that_cannot_be_is_one_sentence(as_role, by, role, code, sentence):
    refused = as_role[by].look("db", "grant", "reader", role, code=code)
    assert sentence in refused.err
    assert refused.err.count("\n") == 1


def test_the_printed_statements_are_those_that_are_run(as_role, server, granted):
    printed = as_role[READER].look("db", "grant", "reader", STRANGER, "--print").out
    assert printed.startswith("begin;\n")
    assert "insert" not in printed
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        query_as(server, granted, STRANGER, "select 1 from studies")
    query_as(server, granted, "tuner", printed)  # as an administrator
    assert query_as(server, granted, STRANGER, "select 1 from studies limit 1") in ([], [(1,)])
    done = json.loads(as_role[OWNER].look("db", "grant", "none", STRANGER, "--json").out)
    assert (done["kind"], done["is_done"], done["notes"]) == ("none", True, [])


def test_who_has_more_rights_than_were_granted_is_told(as_role, server, granted):
    query_as(server, granted, OWNER, f"grant create on database {granted} to {STRANGER}")
    noted = as_role[OWNER].look("db", "grant", "reader", STRANGER)
    assert f"note: '{STRANGER}' may make schemas in this database; take that back" in noted.err
    query_as(server, granted, OWNER, f"revoke create on database {granted} from {STRANGER}")
    as_role[OWNER].look("db", "grant", "none", STRANGER)


def test_a_worker_makes_and_changes_no_schema(server, tuner_home, roles, tmp_path):
    with owned_database(server, "unmade") as database:
        worker, owner = (
            Tuner(environment={"TUNER_STORAGE": url_as(server, database, role)})
            for role in (WORKER, OWNER)
        )
        refused = worker.look("status", code=4)
        assert refused.err == (
            "tuner: this database holds no studies yet, and the role 't_worker' may not make "
            "tables in it; its owner runs `tuner db upgrade` once, then `tuner db grant worker "
            "t_worker`\n"
        )
        assert "the schema is up to date" in owner.look("db", "upgrade").out
        owner.look("db", "grant", "worker", WORKER)
        query_as(server, database, OWNER, "delete from tuner.migration where version > 1")
        refused = worker.look("status", code=4)
        assert "the schema of this database is version 1, this tuner needs" in refused.err
        assert "its owner runs `tuner db upgrade` first" in refused.err


def test_a_reader_makes_backups_and_restores_none(as_role, study, tmp_path):
    file = tmp_path / "x.zip"
    assert "wrote" in as_role[READER].look("db", "backup", "-o", file).out
    assert "holds 1 study already" in as_role[READER].look("db", "restore", file, code=2).err
