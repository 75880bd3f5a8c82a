"""`tuner db`, the embedded server's life, and Optuna's own tools on the URL."""

import json
import signal
import socket
import warnings
from pathlib import Path

import optuna

from tests.acceptance.command import LIGHT, Tuner, wait_until, write_light_study
from tests.acceptance.conftest import has_server


def test_a_new_machine_needs_nothing_and_keeps_nothing_running(fresh_tuner, fresh_home, tmp_path):
    finished = fresh_tuner("run", write_light_study(tmp_path), "--workers", 2, **LIGHT)
    assert f"host={fresh_home}" in finished.err
    wait_until(lambda: not has_server(fresh_home), "the server stops after its last user")
    assert "plain: finished" in fresh_tuner("status", "plain").out


def test_serve_keeps_the_server_up_until_it_is_told_to_end(fresh_tuner, fresh_home, tmp_path):
    serve = fresh_tuner.start("db", "serve")
    assert serve.stdout is not None
    url = serve.stdout.readline().strip()
    assert url == fresh_tuner.look("db", "url").out.strip()
    fresh_tuner("run", write_light_study(tmp_path), "--workers", 2, **LIGHT)
    assert has_server(fresh_home)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.load_study(study_name="plain", storage=url)
        best = study.best_trial
        study._storage._backend.engine.dispose()  # Optuna keeps its pool until the process ends
    assert best.number == fresh_tuner.look("best", "plain", "--json").json["number"]
    ended = fresh_tuner.stop(serve, signal.SIGTERM)
    assert ended.code == 0
    assert "serving until Ctrl-C" in ended.err
    wait_until(lambda: not has_server(fresh_home), "the server stops", seconds=20)


def test_url_prints_the_database_that_is_set(tuner):
    url = tuner.environment["TUNER_STORAGE"]
    shown = tuner.look("db", "url").out.strip()
    assert shown.replace("%2F", "/") == url.replace("%2F", "/")
    assert tuner.look("db", "url", "--json").json == {"url": shown}
    assert tuner.look("db", "url", "--storage", "postgresql://u@h/n").out == (
        "postgresql+psycopg2://u@h/n\n"
    )


def test_serve_with_another_database_is_refused(tuner):
    refused = tuner.look("db", "serve", code=2)
    assert "TUNER_STORAGE" in refused.err


def test_serve_listens_for_other_machines_with_a_password_and_a_workers_rights(
    fresh_tuner, fresh_home, tmp_path
):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = fresh_tuner.look("db", "serve", "--listen", f"127.0.0.1:{port}", code=2)
        assert refused.err == (
            f"tuner: cannot listen on 127.0.0.1:{port} (Address already in use); name an address "
            "of this machine and a free port\n"
        )
    serve = fresh_tuner.start("db", "serve", "--listen", f"127.0.0.1:{port}", "--json")
    assert serve.stdout is not None
    served = json.loads(serve.stdout.readline())
    assert served["remote_url"] == f"postgresql://fleet@127.0.0.1:{port}/tuner"
    rules = fresh_home / "postgres" / "data" / "pg_hba.conf"
    assert rules.stat().st_mode & 0o777 == 0o600
    assert rules.stat().st_uid == rules.parent.stat().st_uid
    password_file = Path(served["password_file"])
    assert password_file.stat().st_mode & 0o777 == 0o600
    password = password_file.read_text().strip().split(":")[4]
    assert len(password) > 40

    other = Tuner(environment={"TUNER_HOME": str(tmp_path / "other")})
    there = {"TUNER_STORAGE": served["remote_url"]}
    study = write_light_study(tmp_path)
    other("run", study, "--workers", 1, **there, **LIGHT, PGPASSFILE=str(password_file))
    assert "plain: finished" in fresh_tuner.look("status", "plain").out
    denied = other.look("delete", "plain", "--yes", **there, PGPASSWORD=password, code=4)
    assert "the role 'fleet' may not do this" in denied.err
    for wrong in ({"PGPASSWORD": "guessed"}, {"PGUSER": "tuner"}, {}):
        url = served["remote_url"].replace("fleet@", "" if "PGUSER" in wrong else "fleet@")
        refused = other("status", TUNER_STORAGE=url, **wrong, code=4)
        assert "password" in refused.err
    again = fresh_tuner.look("db", "serve", "--listen", f"127.0.0.1:{port}", code=2)
    assert "is already running, and its address is set only when it starts" in again.err
    ended = fresh_tuner.stop(serve, signal.SIGTERM)
    assert password not in ended.err
    assert "has no TLS" in ended.err
    wait_until(lambda: not has_server(fresh_home), "the server stops", seconds=20)
    assert "plain: finished" in fresh_tuner("status", "plain").out
    refused = other("status", **there, PGPASSFILE=str(password_file), code=4)
    assert "Connection refused" in refused.err
