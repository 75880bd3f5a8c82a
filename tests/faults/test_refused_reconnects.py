"""Guarantee 5 where the database is up and refuses a reconnect: a new password, for instance."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from agents import ROOT, open_fleet
from cells import Cells
from servers import PASSWORD, ExternalServer, open_external


@pytest.fixture
def external() -> Iterator[ExternalServer]:
    with open_external() as server:
        yield server


@pytest.fixture
def administrator(external: ExternalServer) -> Iterator[Any]:
    """A session that stays, whatever the password is."""
    raw = psycopg2.connect(external.url)
    raw.autocommit = True
    yield raw
    raw.close()


def _set_password(administrator: Any, password: str) -> None:
    with administrator.cursor() as cursor:
        cursor.execute("alter role fleet password %s", (password,))


def _end_other_sessions(administrator: Any) -> None:
    others = "from pg_stat_activity where usename = 'fleet' and pid <> pg_backend_pid()"
    with administrator.cursor() as cursor:
        cursor.execute(f"select pg_terminate_backend(pid) {others}")
        until = time.monotonic() + 20
        n_left = 1
        while n_left:  # a session may complete its transaction before it ends
            assert time.monotonic() < until
            cursor.execute("select pg_stat_clear_snapshot()")
            cursor.execute(f"select count(*) {others}")
            ((n_left,),) = cursor.fetchall()


def _n_refused(external: ExternalServer) -> int:
    return (external.folder / "log").read_text().count("password authentication failed for")


def _n_reports(administrator: Any) -> int:
    with administrator.cursor() as cursor:
        cursor.execute("select count(*) from trial_intermediate_values")
        ((n_reports,),) = cursor.fetchall()
    return int(n_reports)


def _has_socket(pid: int) -> bool:
    """Whether a process has a connection."""
    with suppress(OSError):  # a descriptor may be closed meanwhile
        return any(
            os.readlink(file).startswith("socket:") for file in Path(f"/proc/{pid}/fd").iterdir()
        )
    return False


@contextmanager
def _looking(url: str, folder: Path, *words: str) -> Iterator[Path]:
    """A command that looks on until Ctrl-C, once it has a connection; its output."""
    output = folder / f"{words[0]}.log"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tuner.cli", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "TUNER_STORAGE": url},
        )
    try:
        until = time.monotonic() + 60
        while not _has_socket(process.pid):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < until, "no connection"
            time.sleep(0.05)
        yield output
        assert process.poll() is None, output.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert "Traceback" not in output.read_text()


def test_a_new_password_is_an_outage_until_it_is_the_old_one_again(
    external: ExternalServer, administrator: Any, tuner_home: object, tmp_path: Path
) -> None:
    study = Cells(tmp_path, n_x=1, n_y=1, epochs=45, seconds=0.4).path
    pause = 2.0
    with open_fleet(external.url, tmp_path) as fleet:
        agent = fleet.start(study, is_light=True, patches=[["impatient", pause]])
        fleet.wait_for(lambda: fleet.n_reports() >= 3, "three reports")
        with (
            _looking(
                external.url, tmp_path, "status", "cells", "--watch", "--every", "0.5"
            ) as page,
            _looking(external.url, tmp_path, "logs", "cells", "0", "-f") as log,
        ):
            fleet.wait_for(lambda: "cells" in page.read_text(), "a page")
            time.sleep(1.5)  # for the first answer to `logs`, which has nothing to say
            _set_password(administrator, "another")
            refused_at = time.monotonic()
            _end_other_sessions(administrator)
            n_before = _n_reports(administrator)
            fleet.wait_for(lambda: "the database refuses this agent" in agent.output, "a notice")
            for output in (page, log):
                fleet.wait_for(
                    lambda text=output: "authentication failed" in text.read_text(), "the reason"
                )
            time.sleep(2.0)
            assert agent.process.poll() is None, agent.output
            asked_seconds = time.monotonic() - refused_at
            # Three threads of the agent may try at the first moment; the other commands try less.
            assert _n_refused(external) <= 3 + asked_seconds / pause + 1 + 2 * 2
            assert _n_reports(administrator) == n_before
            _set_password(administrator, PASSWORD)
            assert agent.wait() == 0, agent.output
        assert "the database is back" in agent.output
        assert fleet.query("select attempt, losses from tuner.lease") == [(1, 0)]
        assert _n_reports(administrator) == 45
        assert PASSWORD not in agent.output


def test_an_agent_that_is_refused_for_too_long_ends_with_4_and_its_trial_goes_on(
    external: ExternalServer, administrator: Any, tuner_home: object, tmp_path: Path
) -> None:
    study = Cells(tmp_path, n_x=1, n_y=1, epochs=20, seconds=0.2, lease="1s").path
    text = study.read_text()
    study.write_text(text.replace("grace: 8s", "grace: 8s, max_offline: 2s"))
    with open_fleet(external.url, tmp_path) as fleet:
        agent = fleet.start(study, is_light=True)
        fleet.wait_for(
            lambda: fleet.query("select 1 from tuner.checkpoint"), "a checkpoint to continue from"
        )
        _set_password(administrator, "another")
        _end_other_sessions(administrator)
        assert agent.wait(30) == 4, agent.output
        assert "longer than failures.max_offline" in agent.output
        assert "password authentication failed" in agent.output
        assert "Traceback" not in agent.output
        _set_password(administrator, PASSWORD)
        heir = fleet.start(study, is_light=True)
        assert heir.wait() == 0, heir.output
        assert fleet.states() == {"COMPLETE": 1}
        assert fleet.query("select attempt from tuner.lease") == [(2,)]
