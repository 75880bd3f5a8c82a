"""`tuner db`, the embedded server's life, and Optuna's own tools on the URL."""

import signal
import warnings

import optuna

from tests.acceptance.command import wait_until, write_study
from tests.acceptance.conftest import has_server


def test_a_new_machine_needs_nothing_and_keeps_nothing_running(fresh_tuner, fresh_home, tmp_path):
    finished = fresh_tuner("run", write_study(tmp_path), "--workers", 2)
    assert f"host={fresh_home}" in finished.err
    wait_until(lambda: not has_server(fresh_home), "the server stops after its last user")
    assert "plain: finished" in fresh_tuner("status", "plain").out


def test_serve_keeps_the_server_up_until_it_is_told_to_end(fresh_tuner, fresh_home, tmp_path):
    serve = fresh_tuner.start("db", "serve")
    assert serve.stdout is not None
    url = serve.stdout.readline().strip()
    assert url == fresh_tuner("db", "url").out.strip()
    fresh_tuner("run", write_study(tmp_path), "--workers", 2)
    assert has_server(fresh_home)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.load_study(study_name="plain", storage=url)
        best = study.best_trial
        study._storage._backend.engine.dispose()  # Optuna keeps its pool until the process ends
    assert best.number == fresh_tuner("best", "plain", "--json").json["number"]
    ended = fresh_tuner.stop(serve, signal.SIGTERM)
    assert ended.code == 0
    assert "serving until Ctrl-C" in ended.err
    wait_until(lambda: not has_server(fresh_home), "the server stops", seconds=20)


def test_url_prints_the_database_that_is_set(tuner):
    url = tuner.environment["TUNER_STORAGE"]
    assert tuner("db", "url").out.strip().replace("%2F", "/") == url.replace("%2F", "/")
    assert tuner("db", "url", "--json").json == {"url": tuner("db", "url").out.strip()}
    assert tuner("db", "url", "--storage", "postgresql://u@h/n").out == (
        "postgresql+psycopg2://u@h/n\n"
    )


def test_serve_with_another_database_is_refused(tuner):
    refused = tuner("db", "serve", code=2)
    assert "TUNER_STORAGE" in refused.err
