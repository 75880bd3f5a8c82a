"""`tuner agent`: one machine for several studies, by their priority."""

import json
import re
import signal
import socket
import subprocess

import pytest

from tests.acceptance.command import LIGHT, Tuner, wait_until, write_light_study


def _study(folder, name, *, epochs=3000, trials=4, **more):
    path = folder / name
    path.mkdir(exist_ok=True)
    file = write_light_study(
        path,
        seconds=0.02,
        name=name,
        params=f"{{epochs: {epochs}}}",
        budget=f"{{trials: {trials}}}",
        failures="{lease: 3s}",
        checkpoints="{every: 0.2s}",
        **more,
    )
    found = folder / f"{name}.yaml"
    found.symlink_to(file)  # the code is next to the target
    return found


def _register(tuner, file) -> None:
    """Make the study, as its first agent does, and leave."""
    run = tuner.start("run", file, "--workers", 1, **LIGHT)
    name = file.stem
    wait_until(lambda: _running(tuner, name) >= 1, f"{name} has begun")
    tuner.stop(run, signal.SIGINT)


def _running(tuner: Tuner, name: str) -> int:
    status = tuner.look("status", name, "--json", code=None)
    return status.json["counts"].get("RUNNING", 0) if status.code == 0 else 0


def test_a_machine_serves_all_studies_evenly_and_by_priority(tuner, tmp_path):
    files = [_study(tmp_path, "one"), _study(tmp_path, "two")]
    for file in files:
        _register(tuner, file)
    agent = tuner.start("agent", "--studies", tmp_path, "--workers", 2, "--until-done", **LIGHT)

    def running() -> tuple[int, int]:
        return _running(tuner, "one"), _running(tuner, "two")

    wait_until(lambda: running() == (1, 1), "each study has one of the two devices")
    assert "priority 0 -> 7" in tuner.look("priority", "two", 7).out
    wait_until(lambda: running() == (0, 2), "the one with the higher priority has both")
    assert tuner.look("status", "two", "--json").json["priority"] == 7
    tuner.look("drain", "two", socket.gethostname(), "--yes")
    wait_until(lambda: running() == (2, 0), "drained devices serve the other study")
    tuner.look("undrain", "two", socket.gethostname())
    wait_until(lambda: running() == (0, 2), "until the drain is lifted")
    tuner.look("priority", "two", -1)
    wait_until(lambda: running() == (2, 0), "and now the other one")
    for name in ("one", "two"):
        tuner.look("stop", name)
    ended = tuner.finish(agent)
    assert ended.code == 0, ended
    assert re.search(r"^one: trial \d: released \(released: its device serves another study\)$",
                     ended.err, re.M), ended.err  # fmt: skip
    events = tuner.look("status", "two").out
    assert "two: stopped" in events


def test_without_its_file_a_study_with_own_code_is_left_alone(tuner, tmp_path):
    _register(tuner, _study(tmp_path, "own"))
    empty = tmp_path / "none"
    empty.mkdir()
    refused = tuner("agent", "--studies", empty, "--workers", 1, "--until-done", **LIGHT)
    assert "own: its code is chosen by a study file: put it into the folder" in refused.err
    assert _running(tuner, "own") == 0
    assert tuner.look("agent", "--studies", tmp_path / "missing", code=2).err.count("\n") == 1


@pytest.mark.long
def test_a_killed_machine_agent_leaves_no_agent_and_no_trial_running(tuner, tmp_path):
    _register(tuner, _study(tmp_path, "left"))
    agent = tuner.start("agent", "--studies", tmp_path, "--workers", 1, **LIGHT)
    wait_until(lambda: _running(tuner, "left") == 1, "it trains")
    assert _processes_of(tmp_path)
    agent.kill()
    agent.wait()
    wait_until(lambda: _running(tuner, "left") == 0, "its agent has saved and released the trial")
    wait_until(lambda: not _processes_of(tmp_path), "and ended")

    agent = tuner.start(
        "agent", "--studies", tmp_path, "--workers", 1, "--log-format", "json", **LIGHT
    )
    wait_until(lambda: _running(tuner, "left") == 1, "it trains again")
    ended = tuner.stop(agent, signal.SIGTERM)
    assert (ended.code, _running(tuner, "left")) == (143, 0)
    lines = [json.loads(line) for line in ended.err.splitlines()]
    (released,) = [line for line in lines if line["event"] == "AttemptReleased"]
    assert (released["study"], released["trial"], released["device"]) == ("left", 0, "cpu:0")


def _processes_of(folder) -> str:
    found = subprocess.run(["pgrep", "-af", str(folder)], check=False, capture_output=True)
    return found.stdout.decode()
