"""Metrics over HTTP; alert rules and the Grafana dashboard with Debian's Prometheus."""

import json
import re
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import LIGHT, ROOT, wait_until, write_light_study
from tests.acceptance.dashboards import open_dashboard

MONITORING = ROOT / "tuner" / "dashboard" / "monitoring"
ALERTS = MONITORING / "alerts.yaml"
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="no Prometheus here: apt-get install prometheus",
)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.token"
    path.write_text("m" * 48)
    path.chmod(0o600)
    return path


def test_the_metrics_are_read_with_their_token_and_the_health_without(finished, token):
    with open_dashboard(finished, "--metrics-token-file", token) as served:
        assert served.ask("GET", "/metrics").status == 401
        assert served.get("/metrics").status == 401, "a session of a browser is another thing"
        bearer = {"authorization": f"Bearer {token.read_text()}"}
        answer = served.ask("GET", "/metrics", bearer)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'tuner_study_state{state="finished",study="plain"} 1.0' in answer.text
        assert 'tuner_trials{state="COMPLETE",study="plain"} 2.0' in answer.text
        health = served.ask("GET", "/healthz")
        assert (health.status, health.body) == (200, b"ok\n")


def test_every_query_of_the_pages_names_metrics_that_are_served():
    """Without a Prometheus: the names of rules and panels are those of the collector."""
    source = (ROOT / "tuner" / "dashboard" / "metrics.py").read_text()
    served = set(re.findall(r'"(tuner_\w+)"', source))
    asked = set(re.findall(r"tuner_\w+", " ".join([*_expressions(), ALERTS.read_text()])))
    asked = {name.removesuffix("_total") for name in asked}
    assert asked <= served
    assert len(asked) >= 15


def _expressions() -> list[str]:
    document = json.loads((MONITORING / "grafana.json").read_text())
    return [target["expr"] for panel in document["panels"] for target in panel["targets"]]


@pytest.mark.long
@needs_prometheus
def test_the_alert_rules_are_valid_and_say_what_they_should(tmp_path):
    subprocess.run(["promtool", "check", "rules", ALERTS], check=True, capture_output=True)
    cases = (ROOT / "tests" / "assets" / "alerts_test.yaml").read_text()
    file = tmp_path / "alerts_test.yaml"
    file.write_text(cases.replace("RULES", str(ALERTS)))
    done = subprocess.run(
        ["promtool", "test", "rules", file], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = set(re.findall(r"alert: (\w+)", ALERTS.read_text()))
    assert names == set(re.findall(r"alertname: (\w+)", cases)), "each rule has a case"


CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{alerts}]
scrape_configs:
  - job_name: tuner
    authorization: {{credentials_file: {token}}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[[int, Path], str]]:
    """Starts one, given the port of a dashboard; ends it afterwards."""
    running: list[subprocess.Popen[bytes]] = []

    def start(port: int, token: Path) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            own = free.getsockname()[1]
        config = tmp_path / "prometheus.yml"
        config.write_text(CONFIG.format(alerts=ALERTS, token=token, port=port))
        command = [
            "prometheus",
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{own}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        ]
        with open(tmp_path / "prometheus.log", "wb") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=log))
        return f"http://127.0.0.1:{own}"

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


def _ask(url: str, path: str, **query: str) -> dict:
    full = f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(full, timeout=10) as answer:
            return json.load(answer)
    except OSError as error:
        return {"status": str(error), "data": {"result": [], "groups": []}}


# Panels of numbers that a machine without GPUs does not have.
OF_GPUS = ("tuner_device_load", "tuner_device_watts")


@pytest.mark.long
@needs_prometheus
def test_every_query_of_the_grafana_dashboard_has_an_answer(tuner, tmp_path, token, prometheus):
    file = write_light_study(
        tmp_path, seconds=0.05, params="{epochs: 3000}", budget="{trials: 3, time: 1h}"
    )
    run = tuner.start("run", file, "--workers", 2, **LIGHT)
    tuner_runs = lambda: tuner.look("status", "plain", "--json", code=None).code == 0  # noqa: E731
    wait_until(tuner_runs, "the study is there")
    with open_dashboard(tuner, "--metrics-token-file", token) as served:
        url = prometheus(served.port, token)
        up = lambda: _ask(url, "query", query='up{job="tuner"} == 1')["data"]["result"]  # noqa: E731
        wait_until(up, "Prometheus reads the dashboard")
        rated = "rate(tuner_steps_total[5m]) > 0"
        wait_until(lambda: _ask(url, "query", query=rated)["data"]["result"], "it read twice")
        for expression in _expressions():
            query = expression.replace("$study", ".*")
            answer = _ask(url, "query", query=query)
            assert answer["status"] == "success", (query, answer)
            is_missing = "tuner_best_value" in query or any(name in query for name in OF_GPUS)
            assert bool(answer["data"]["result"]) is not is_missing, query
        groups = _ask(url, "rules")["data"]["groups"]
        assert [rule["lastError"] for group in groups for rule in group["rules"]
                if rule.get("lastError")] == []  # fmt: skip
        assert sum(len(group["rules"]) for group in groups) == 8
    tuner.stop(run, signal.SIGINT)
