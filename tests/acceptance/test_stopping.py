"""Ctrl-C and SIGTERM: the trials are released, and the same command continues."""

import re
import signal
import time

import pytest

from tests.acceptance.command import LIGHT, wait_until, write_light_study, write_study

GRACE_SECONDS = 25.0
N_EPOCHS = 1200


@pytest.mark.parametrize(
    ("number", "code", "is_light"),
    [
        pytest.param(signal.SIGINT, 130, True, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, False, id="SIGTERM, with torch", marks=pytest.mark.long),
    ],
)
def test_a_stopped_run_releases_its_trials_and_goes_on_later(
    tuner, tmp_path, number, code, is_light
):
    changes = {"params": f"{{epochs: {N_EPOCHS}}}", "checkpoints": "{every: 1s}"}
    if is_light:
        file, environment = write_light_study(tmp_path, seconds=0.005, **changes), LIGHT
    else:
        file, environment = write_study(tmp_path, **changes), {}
    run = tuner.start("run", file, "--workers", 2, **environment)

    def steps() -> list[int]:
        listing = tuner.look("trials", "plain", "--json", code=None)
        return [trial["steps"] for trial in listing.json] if listing.code == 0 else []

    wait_until(lambda: sum(n > 0 for n in steps()) == 2, "both trials report")
    began = time.monotonic()
    stopped = tuner.stop(run, number)
    assert time.monotonic() - began < GRACE_SECONDS
    assert stopped.code == code
    assert f"{number.name}: releasing 2 trials" in stopped.err
    assert "plain: idle, 0 of 2 trials" in stopped.out
    assert f"tuner run {file}" in stopped.out

    waiting = tuner.look("status", "plain")
    assert re.search(r"^  released +2 ", waiting.out, re.M)
    status = tuner.look("status", "plain", "--json").json
    zeros = dict.fromkeys(("COMPLETE", "PRUNED", "FAIL", "RUNNING", "ELSEWHERE", "WAITING"), 0)
    assert status["counts"] == {"RELEASED": 2, "FREE": 2, **zeros}
    assert not status["active"]
    seen = steps()
    assert min(seen) > 0
    assert max(seen) < N_EPOCHS

    again = tuner("run", file, "--workers", 2, **environment)
    starts = re.findall(
        r"^trial \d: was released, continues here from epoch (\d+) \(attempt 2\)", again.err, re.M
    )
    assert sorted(map(int, starts)) == sorted(seen)
    trials = tuner.look("trials", "plain", "--json").json
    assert [(t["state"], t["steps"], t["attempt"]) for t in trials] == 2 * [
        ("COMPLETE", N_EPOCHS, 2)
    ]
