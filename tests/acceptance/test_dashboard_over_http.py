"""The dashboard as programs meet it: who gets in, what is refused, what is downloaded."""

import csv
import html
import http.client
import io
import json
import os
import re
import signal
from urllib.parse import quote

import pytest

from tests.acceptance.command import LIGHT, wait_until, write_study
from tests.acceptance.dashboards import open_dashboard

PATHS = ("/", "/s/plain", "/s/plain/figures", "/s/plain/live", "/s/plain/trials",
         "/s/plain/trials.csv", "/s/plain/trials.json", "/s/plain/t/0", "/s/plain/t/0/curve",
         "/s/plain/t/0/best.yaml", "/s/plain/analysis", "/s/plain/analysis/plot",
         "/s/plain/actions/stop")  # fmt: skip
LOOKS = [path for path in PATHS if not path.endswith(("live", "stop"))]


@pytest.fixture(scope="module")
def served(finished):
    with open_dashboard(finished) as served:
        yield served


def test_every_page_answers_who_is_logged_in(served):
    for path in LOOKS:
        assert served.get(path).status == 200, path


def test_nothing_but_the_assets_answers_anybody_else(served):
    for path in PATHS:
        assert served.ask("GET", path).status == 401, path
    page = served.get("/").text
    asset = page.split('href="/static/')[1].split('"')[0]
    answer = served.ask("GET", f"/static/{asset}")
    assert answer.status == 200
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_without_actions_every_route_refuses_every_method_but_get(served, method):
    for path in PATHS:
        headers = {"cookie": served.cookie, "content-type": "application/json",
                   "origin": served.root, "x-tuner-action": "1"}  # fmt: skip
        answer = served.ask(method, path, headers, "{}")
        assert answer.status == 405, (method, path)
        assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
def test_a_foreign_host_is_refused_before_anything_else(served, host):
    for path in PATHS:
        answer = served.ask("GET", path, {"host": host, "cookie": served.cookie})
        assert answer.status == 400, path
        assert "plain" not in answer.text


def test_what_is_not_there_is_a_sentence(served):
    for path, status, said in (
        ("/s/plaim", 404, "did you mean &#39;plain&#39;?"),
        ("/s/plain/t/999", 404, "has no trial 999"),
        ("/s/plain/t/99999999999999", 404, "has no trial"),
        ("/s/plain/t/x", 404, "no such page"),
        ("/s/..%2f..%2fetc/passwd", 404, "no such page"),
        ("/static/x/..%2f..%2f__init__.py", 404, "no such"),
        ("/s/plain/analysis?plot=pie", 400, "there are"),
        ("/s/plain/analysis?param=nothing", 400, "no parameter"),
        ("/s/plain/trials.csv?where=x%3C1", 400, "no field"),
        ("/s/plain/trials?where=learning_rate%3C", 200, "character 15"),
    ):
        answer = served.get(path)
        assert answer.status == status, path
        assert said in answer.text, (path, answer.text)
        assert "Traceback" not in answer.text


def test_downloads_hold_the_view_and_are_attachments(served):
    for path in (
        "/s/plain/trials.csv?sort=value",
        "/s/plain/trials.json",
        "/s/plain/t/1/best.yaml",
    ):
        assert served.get(path).headers["content-disposition"].startswith("attachment; ")
    rows = list(csv.DictReader(io.StringIO(served.get("/s/plain/trials.csv?sort=value").text)))
    trials = served.get("/s/plain/trials.json?sort=value:desc").json
    assert [row["number"] for row in rows] == [str(t["number"]) for t in reversed(trials)]
    assert float(rows[0]["value"]) < float(rows[1]["value"])
    assert {"learning_rate"} == trials[0]["params"].keys()
    host = os.uname().nodename
    for where, n_found in (
        (f"host={host}", 2),
        (f"host!={host}", 0),
        ("train_loss>0, attrs.best_step>=1", 2),
        ("attrs.train_loss<0", 0),
        ("reason='a, b', number=0", 0),
    ):
        assert len(served.get(f"/s/plain/trials.json?where={quote(where)}").json) == n_found, where
    told = served.get("/s/plain/trials").text
    assert "host, device, reason" in told
    assert "attrs.train_loss" in told
    assert (
        "did you mean attrs.train_loss"
        in served.get("/s/plain/trials?where=attrs.tran_loss>1").text
    )
    one = served.get("/s/plain/trials.json?where=number%3D1").json
    assert [trial["number"] for trial in one] == [1]


def test_the_stream_begins_with_the_study_as_it_is(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("GET", "/s/plain/live", headers={"cookie": served.cookie})
    answer = connection.getresponse()
    assert answer.headers["content-type"] == "text/event-stream"
    lines = iter(lambda: answer.readline().decode(), "")
    assert next(line for line in lines if line.startswith("event: ")) == "event: state\n"
    assert next(lines).startswith("id: ")
    data = next(lines)
    connection.close()
    news = json.loads(data.removeprefix("data: "))
    assert news["best"]["number"] in (0, 1)
    assert news["figures"].keys() >= {"history", "curves", "fleet"}


def test_a_reader_of_the_dashboard_writes_nothing(finished, tuner_home):
    from sqlalchemy.engine import make_url

    from tuner.errors import DatabaseError
    from tuner.storage.connections.connection import open_database_url
    from tuner.storage.connections.read_only import read_only
    from tuner.storage.connections.sessions import Session

    plain = open_database_url(make_url(finished.environment["TUNER_STORAGE"]))
    looked = read_only(plain)
    with looked.engine.connect() as connection:
        ((answer,),) = connection.exec_driver_sql("show transaction_read_only").all()
    assert answer == "on"
    session = Session(looked)
    with pytest.raises(DatabaseError, match="read-only"):
        session.rows("control", "note", {"study_id": 1, "kind": "x", "detail": "y"})
    session.close()
    looked.close()
    plain.close()


def test_actions_are_done_noted_and_refused_without_their_marks(own_finished):
    tuner = own_finished
    with open_dashboard(tuner, "plain", "--allow-actions") as served:
        for changes, status in (
            ({"origin": "http://evil.example"}, 403),
            ({"origin": ""}, 403),
            ({"origin": "null"}, 403),
            ({"content_type": "text/plain"}, 415),
            ({"content_type": "application/x-www-form-urlencoded"}, 415),
            ({"x_tuner_action": ""}, 403),
            ({"cookie": ""}, 401),
            ({"host": "evil.example"}, 400),
        ):
            answer = served.post("/s/plain/actions/extend", {"trials": "+5"}, **changes)
            assert answer.status == status, changes
        assert tuner.look("status", "plain", "--json").json["limits"]["trials"] == 2
        assert _offered(served) == {"extend", "enqueue"}
        for action, given, status, said in (
            ("pause", {}, 400, "tuner extend plain continues it"),
            ("extend", {"trials": "+5"}, 200, "extend trials +5"),
            ("extend", {"trials": "many"}, 400, "is no amount"),
            ("extend", {}, 400, "no limit is given"),
            ("extend", {"seconds": "+1h"}, 400, "no such limit to raise"),
            ("extend", {"seconds": "1h", "target": "0.01"}, 200, "time 1h"),
            ("enqueue", {"params": "learning_rate=0.01"}, 200, "enqueue trial 2"),
            ("enqueue", {"params": "lr=0.01"}, 400, "no searched parameter"),
            ("enqueue", {"params": ""}, 400, "no params are given"),
            ("enqueue", {"params": ["x"]}, 400, "params is a text"),
            ("pause", {"reason": "coffee"}, 200, "pause"),
            ("pause", {}, 200, "pause"),
            ("resume", {}, 200, "resume"),
            ("stop-trial", {"number": 0}, 400, "has ended already"),
            ("stop-trial", {"number": 2}, 400, "no agent of tuner has begun it"),
            ("stop-trial", {"number": 77}, 404, "no trial 77"),
            ("stop-trial", {"number": True}, 400, "number is"),
            ("retry", {"number": 0}, 400, "only FAIL trials"),
            ("stop", {"reason": "enough"}, 200, "stop"),
            ("pause", {}, 400, "tuner resume plain continues it"),
            ("delete", {}, 400, "no action"),
        ):
            answer = served.post(f"/s/plain/actions/{action}", given)
            assert (answer.status, said in answer.text) == (status, True), (action, answer)
        wait_until(lambda: _offered(served) == {"extend", "enqueue", "resume"}, "it is stopped")
        assert served.post("/s/nothing/actions/pause", {}).status == 404
        assert served.post("/s/plain/actions/pause", []).status == 400
        assert served.post("/s/plain", {}).status == 405
        page = served.get("/s/plain").text
        assert "dashboard" in page
        assert "from 127.0.0.1" in page
    status = tuner("status", "plain").out
    assert "stopped by the dashboard, from 127.0.0.1: enough" in status


def _offered(served) -> set[str]:
    return set(re.findall(r'data-action="([a-z-]+)"', served.get("/s/plain").text))


def test_a_trial_in_training_is_stopped_from_the_page(tuner, tmp_path):
    (tmp_path / "train.py").write_text(
        "import time\n"
        "def train(trial):\n"
        "    for step in range(1, 4000):\n"
        "        trial.report(val_loss=1 / step, step=step)\n"
        "        time.sleep(0.05)\n"
    )
    file = write_study(tmp_path, objective="train.py:train", params="{epochs: 4000}",
                       budget="{trials: 2}")  # fmt: skip
    run = tuner.start("run", file, "--workers", 1, **LIGHT)
    with open_dashboard_when_ready(tuner) as served:
        wait_until(lambda: _steps(served, 0) > 3, "the trial reports")
        answer = served.post("/s/plain/actions/stop-trial", {"number": 0})
        assert answer.status == 200, answer
        wait_until(lambda: _steps(served, 1) > 0, "its agent goes on with the next one")
        (stopped,) = served.get("/s/plain/trials.json?where=number%3D0").json
        assert stopped["state"] == "PRUNED"
        assert stopped["value"] == pytest.approx(1 / stopped["steps"])
        assert "stopped by the dashboard" in stopped["reason"]
    tuner.stop(run, signal.SIGTERM)


def open_dashboard_when_ready(tuner):
    wait_until(lambda: tuner.look("status", "plain", code=None).code == 0, "the study is there")
    return open_dashboard(tuner, "plain", "--allow-actions")


def _steps(served, number):
    found = served.get(f"/s/plain/trials.json?where=number%3D{number}").json
    return found[0]["steps"] if found else 0


def test_sessions_outlive_a_restart_and_the_token_file_lets_everybody_in(finished, tmp_path):
    with open_dashboard(finished) as first:
        port, cookie = first.port, first.cookie
    with open_dashboard(finished, port=port) as second:
        assert second.ask("GET", "/", {"cookie": cookie}).status == 200
    token = tmp_path / "token"
    token.write_text("t" * 64)
    token.chmod(0o600)
    process = finished.start("dashboard", "--host", "0.0.0.0", "--port", 0, "--token-file", token)
    line = process.stdout.readline().strip()
    assert "t" * 64 not in line
    port = int(line.rsplit(":", 1)[1].strip("/"))
    from tests.acceptance.dashboards import Served

    served = Served(process=process, url=f"http://127.0.0.1:{port}/?token={'t' * 64}")
    for _ in range(2):
        served.log_in()
        assert served.get("/").status == 200
    assert served.ask("GET", "/?token=wrong").status == 401
    assert "t" * 64 not in finished.stop(process, signal.SIGINT).err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--host", "0.0.0.0"), 2, "--token-file"),
        (("--token-file", "/nowhere"), 2, "cannot read the token file"),
        (("--port", "70000"), 2, "from 0 to 65535"),
        (("--allow-host", "a b"), 2, "is not the name"),
        (("plaim",), 3, "did you mean 'plain'?"),
    ],
)
def test_what_cannot_be_served_is_a_sentence(finished, arguments, code, said):
    refused = finished.look("dashboard", *arguments, code=code)
    assert said in refused.err
    assert refused.out == ""


def test_a_report_is_one_file_that_is_whole_or_as_it_was(finished, tmp_path):
    path = tmp_path / "r.html"
    told = finished("report", "plain", "-o", path, "--json").json
    text = path.read_text()
    assert told["trials"] == 2
    assert told["bytes"] == len(text.encode())
    for address in ('http-equiv="refresh', " src=", "@import"):
        assert address not in text.split("<script")[0]
    assert "default-src 'none'; script-src 'sha256-" in html.unescape(text[:1000])
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    assert "did you mean" in finished("report", "plaim", "-o", path, code=3).err
    assert path.read_text() == text
    assert "cannot write" in finished("report", "plain", "-o", "/nowhere/r.html", code=1).err
    assert "--json needs a file" in finished("report", "plain", "-o", "-", "--json", code=2).err
    assert finished("report", "plain", "-o", "-").out.startswith("<!doctype html>")
