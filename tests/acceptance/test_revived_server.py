"""The embedded server dies: whoever uses it starts it again, and nothing is missing."""

import json
import os
import signal
import socket
from pathlib import Path

from tests.acceptance.command import LIGHT, wait_until, write_study

TRAIN = """\
import time
def train(trial):
    for step in range(1, 21):
        time.sleep(0.2)
        trial.report(step=step, val_loss=1 / step)
"""


def _postmaster(tuner) -> int | None:
    pid_file = Path(tuner.environment["TUNER_HOME"]) / "postgres" / "data" / "postmaster.pid"
    words = pid_file.read_text().split() if pid_file.exists() else []
    return int(words[0]) if words else None


def test_a_killed_server_is_started_again_by_the_agent_alone(fresh_tuner, tmp_path):
    (tmp_path / "train.py").write_text(TRAIN)
    file = write_study(
        tmp_path,
        objective="train.py:train",
        search_space="{x: {float: [0, 1]}}",
        params="{}",
        budget="{trials: 2}",
    )
    run = fresh_tuner.start("run", file, "--workers", 1, **LIGHT)
    wait_until(lambda: fresh_tuner("status", "plain", code=None).code == 0, "the study is there")
    before = _postmaster(fresh_tuner)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: _postmaster(fresh_tuner) not in (None, before), "another server")
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, out + err
    trials = fresh_tuner.look("trials", "plain", "--json").json
    assert [(t["state"], t["steps"], t["attempt"]) for t in trials] == [("COMPLETE", 20, 1)] * 2


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_killed_server_serves_other_machines_again_whoever_starts_it(fresh_tuner):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = fresh_tuner.start("db", "serve", "--listen", f"127.0.0.1:{port}", "--json")
    assert serve.stdout is not None
    served = json.loads(serve.stdout.readline())
    assert str(port) in served["remote_url"]
    before = _postmaster(fresh_tuner)
    os.kill(before, signal.SIGKILL)
    fresh_tuner("status")  # it may come first, and must not lock the others out
    wait_until(lambda: _answers(port), "the port is open again")
    assert _postmaster(fresh_tuner) != before
    fresh_tuner.stop(serve, signal.SIGTERM)
