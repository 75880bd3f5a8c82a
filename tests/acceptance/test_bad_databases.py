"""A corpus of databases that cannot be worked with: one sentence, exit code 4 or 2, no change."""

import os
import warnings
from pathlib import Path

import optuna
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.acceptance.command import Tuner, write_study
from tests.conftest import _administer
from tuner.cli.main import main
from tuner.storage.connections import connection
from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server
from tuner.storage.schema.migrations import load_migrations

KNOWN = len(load_migrations())
OLD = connection.MIN_SERVER_VERSION // 10000


@pytest.fixture
def named(tuner_home: Home, database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated database of one's own, as `TUNER_STORAGE` names it."""
    for name in list(os.environ):
        if name.startswith("PG"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TUNER_STORAGE", database_url)
    return database_url


def run_sql(url: str, *statements: str) -> list[tuple[object, ...]]:
    parts = make_url(url)
    raw = psycopg2.connect(
        host=parts.query["host"], user=parts.username, dbname=parts.database, port=5432
    )
    raw.autocommit = True
    with raw.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
    raw.close()
    return rows


def told(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """The exit code and the one sentence; nothing goes to stdout."""
    code = main([str(word) for word in words])
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    assert shown.err.count("\n") == 1, shown.err
    return code, shown.err.removeprefix("tuner: ").rstrip("\n")


CHANGED = {
    "a newer schema": (
        "insert into tuner.migration values (99)",
        f"this database was made by a newer tuner (schema 99, this one knows {KNOWN}); "
        "upgrade tuner on this machine",
    ),
    "a newer schema of Optuna": (
        "update alembic_version set version_num = 'v9.0.0.a'",
        "this database holds Optuna's schema v9.0.0.a; this tuner works with v3.2.0.a: upgrade "
        "tuner, or run `optuna storage upgrade`",
    ),
    "an older schema of Optuna": (
        "update alembic_version set version_num = 'v2.6.0.a'",
        "this database holds Optuna's schema v2.6.0.a; this tuner works with v3.2.0.a",
    ),
    "a table is missing": (
        "drop table tuner.clock",
        'relation "tuner.clock" does not exist',
    ),
    "a column is missing": (
        "alter table tuner.study drop column fingerprint",
        "column t.fingerprint does not exist",
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_schema_that_is_not_ours_is_refused(case, named, tmp_path, capfd):
    statement, sentence = CHANGED[case]
    run_sql(named, statement)
    is_found_late = case.endswith("missing")
    words = ("run", write_study(tmp_path), "--workers", 1) if is_found_late else ("status",)
    code, said = told_last(capfd, *words)
    assert code == 4
    assert sentence in said
    assert run_sql(named, "select * from studies") == []


def told_last(capfd: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = main([str(word) for word in words])
    shown = capfd.readouterr()
    assert "Traceback" not in shown.err
    *_, last = [line for line in shown.err.split("\n") if line.strip(" ^")]
    return code, last


def other(url: str, **parts: object) -> str:
    """Another URL on the same server."""
    return make_url(url).set(**parts).render_as_string()  # type: ignore[arg-type]


REACHED = {
    "no such database": (
        {"database": "nowhere"},
        'database "nowhere" does not exist; make it (createdb), or name another one',
    ),
    "no such role": ({"username": "nobody_at_all"}, 'Peer authentication failed for user "nobody'),
    "no server": ({"query": {"host": "/nowhere"}}, "No such file or directory"),
    "another port": ({"query": {"host": "127.0.0.1", "port": "1"}}, "Connection refused"),
    "an unknown host": (
        {"query": {"host": "no-such-host.invalid"}},
        "could not translate host name",
    ),
    "an unknown option": (
        {"query": {"host": "/nowhere", "ssl_mode": "on"}},
        'invalid connection option "ssl_mode"; correct the URL',
    ),
}


@pytest.mark.parametrize("case", REACHED)
@pytest.mark.parametrize("command", [("status",), ("delete", "a", "--yes"), ("db", "upgrade")])
def test_a_database_that_is_not_reached_is_exit_code_4(case, command, named, monkeypatch, capfd):
    parts, sentence = REACHED[case]
    monkeypatch.setenv("TUNER_STORAGE", other(named, **parts))
    code, said = told(capfd, *command)
    assert code == 4
    assert said.startswith("cannot reach the database postgresql+psycopg2://")
    assert sentence in said


def test_a_server_that_is_too_old_is_refused(named, monkeypatch, capfd):
    monkeypatch.setattr(connection, "MIN_SERVER_VERSION", 990000)
    code, said = told(capfd, "status")
    assert code == 4
    assert said.endswith("is Postgres 18; tuner needs version 99 or newer")
    assert OLD == 13


def test_text_that_is_not_unicode_is_refused(server: Server, named, monkeypatch, capfd):
    _administer(server, "create database latin encoding 'LATIN1' locale 'C' template template0")
    try:
        monkeypatch.setenv("TUNER_STORAGE", other(named, database="latin"))
        code, said = told(capfd, "status")
        assert code == 4
        assert "stores text as LATIN1" in said
        assert "createdb --encoding UTF8" in said
    finally:
        _administer(server, "drop database latin with (force)")


def test_a_standby_is_looked_at_and_not_worked_on(finished: Tuner, monkeypatch, capfd, tmp_path):
    url = make_url(finished.environment["TUNER_STORAGE"])
    standby = url.update_query_dict({"options": "-c default_transaction_read_only=on"})
    monkeypatch.setenv("TUNER_STORAGE", standby.render_as_string())
    assert main(["status", "plain"]) == 0
    capfd.readouterr()
    file = write_study(tmp_path, name="another")
    for words in (("pause", "plain"), ("delete", "plain", "--yes"), ("run", file, "--workers", 1)):
        code, said = told_last(capfd, *words)
        assert code == 4
        assert "the database takes no writes, as a standby does: name the primary (" in said


def test_a_study_of_another_optuna_program_is_not_taken_over(named, capfd, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = optuna.storages.RDBStorage(named)
        optuna.create_study(study_name="plain", storage=storage)
        storage.remove_session()
        storage.engine.dispose()
    code, said = told_last(capfd, "run", write_study(tmp_path), "--workers", 1)
    assert code == 2
    assert said == (
        "tuner: the study 'plain' in this database was made by another Optuna program; "
        "give the study file another name"
    )
    code, said = told(capfd, "best", "plain")
    assert (code, said) == (3, "no study 'plain'; tuner status lists them")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ("extend", "plain", "--trials", "1"),
            2,
            "--trials: 1 trials is below the 2 trials used already",
        ),
        (("retry", "plain", "0"), 2, "trial 0 is COMPLETE; only FAIL trials are retried"),
        (("retry", "plain", "7"), 3, "7"),
        (("show", "plain", "7"), 3, "study 'plain' has no trial 7"),
        (("logs", "plain", "7"), 3, "study 'plain' has no trial 7"),
        (("trials", "plain", "--where", "x"), 2, "character 2: expected one of < <= >"),
        (("trials", "plain", "--where", "learnin_rate<1"), 2, "did you mean learning_rate?"),
        (("trials", "plain", "--sort", "valu"), 2, "did you mean value?"),
        (("trials", "plain", "--state", "complet"), 2, "did you mean COMPLETE?"),
        (("enqueue", "plain", "learning_rate=7"), 2, "7 is not in [0.001, 0.1]"),
        (("enqueue", "plain", "learnin_rate=1"), 2, "did you mean learning_rate?"),
        (("best", "plan"), 3, "no study 'plan' (did you mean 'plain'?); tuner status lists them"),
        (("db", "serve"), 2, "leave out --storage and TUNER_STORAGE"),
        (
            ("delete", "plain"),
            2,
            "tuner cannot ask; run tuner delete plain --yes",
        ),
    ],
)
def test_what_does_not_fit_the_study_is_refused(
    finished: Tuner, words, code, sentence, monkeypatch, capfd
):
    monkeypatch.setenv("TUNER_STORAGE", finished.environment["TUNER_STORAGE"])
    before = finished.look("trials", "plain", "--json").out
    assert main([str(word) for word in words]) == code
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    assert sentence in shown.err
    assert finished.look("trials", "plain", "--json").out == before


def test_the_corpora_are_large_enough():
    folder = Path(__file__).parents[1]
    files = ("unit/study_file/malformed.jsonl", "acceptance/command_lines.jsonl")
    counted = [len((folder / file).read_text().splitlines()) for file in files]
    assert sum(counted) + len(CHANGED) + len(REACHED) > 300
