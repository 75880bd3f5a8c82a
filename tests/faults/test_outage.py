"""Guarantee 5: the database restarts while workers train on. Any Postgres from 13 on."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import open_fleet, write_study

from tuner.storage.binaries import find_binaries, find_server_user

DEBIAN = Path("/usr/lib/postgresql/15/bin")


class ExternalServer:
    """A Postgres that tuner did not start; TCP on a free port, with a password."""

    def __init__(self, folder: Path) -> None:
        self.user = find_server_user()
        self.binaries = DEBIAN if DEBIAN.exists() else find_binaries(folder, self.user)
        self.folder = folder
        if self.user:
            os.chown(folder, self.user.uid, self.user.gid)
        password = folder / "password"
        password.write_text("canary-password")
        password.chmod(0o644)
        data = str(folder / "data")
        words = ["-D", data, "-U", "fleet", "-A", "scram-sha-256", f"--pwfile={password}"]
        self._run("initdb", *words, "--no-sync")
        self.port = _free_port()
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {folder}"
        self._options = ["-D", data, "-o", options, "-l", str(folder / "log"), "-w"]
        self._run("pg_ctl", "start", *self._options)
        self.url = f"postgresql://fleet:canary-password@127.0.0.1:{self.port}/postgres"

    def restart(self, mode: str, away_seconds: float) -> None:
        """Stop it, leave it away for a while, start it."""
        self._run("pg_ctl", "stop", "-m", mode, *self._options)
        time.sleep(away_seconds)
        self.start()

    def start(self) -> None:
        """Again, with the same data."""
        self._run("pg_ctl", "start", *self._options)

    def processes(self) -> list[int]:
        """The postmaster and its children."""
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        listing = ["ps", "--ppid", str(postmaster), "-o", "pid="]
        children = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
        return [postmaster, *map(int, children.split())]

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", *self._options)

    def _run(self, *words: str) -> None:
        subprocess.run(
            [self.binaries / words[0], *words[1:]],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            user=self.user.uid if self.user else None,
            group=self.user.gid if self.user else None,
            extra_groups=[] if self.user else None,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def external() -> Iterator[ExternalServer]:
    folder = Path(tempfile.mkdtemp(prefix="tuner-external-"))
    folder.chmod(0o755)
    server = ExternalServer(folder)
    yield server
    server.stop()
    shutil.rmtree(folder)


def test_postgres_restarts_while_workers_train_and_every_report_is_there_once(
    external: ExternalServer, tuner_home: object, tmp_path: Path
) -> None:
    study = write_study(tmp_path, epochs=150, width=256, trials=2)
    with open_fleet(external.url, tmp_path) as fleet:
        agent = fleet.start(study, workers=2)
        fleet.wait_for(lambda: fleet.n_reports() >= 3, "three reports")
        external.restart("immediate", away_seconds=2)
        assert agent.wait() == 0, agent.output
        assert "the database is away, training goes on" in agent.output
        assert "the database is back" in agent.output
        assert "canary-password" not in agent.output
        assert fleet.states() == {"COMPLETE": 2}
        assert fleet.query("select number, attempt, losses from tuner.lease order by 1") == [
            (0, 1, 0),
            (1, 1, 0),
        ]
        steps = fleet.query(
            "select number, step from trial_intermediate_values join trials using (trial_id)"
        )
        assert sorted(steps) == [(number, step) for number in (0, 1) for step in range(1, 151)]


def test_no_live_agent_loses_its_trial_by_an_outage_longer_than_the_lease(
    external: ExternalServer, tuner_home: object, tmp_path: Path
) -> None:
    study = write_study(tmp_path, epochs=400, width=256, trials=1, lease="1s")
    with open_fleet(external.url, tmp_path) as fleet:
        busy = fleet.start(study)
        fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
        idle = fleet.start(study)
        fleet.wait_for(lambda: "waiting for 1 trial elsewhere" in idle.output, "an idle agent")
        external.restart("fast", away_seconds=3)
        assert [busy.wait(), idle.wait()] == [0, 0], busy.output + idle.output
        assert fleet.query("select attempt, losses from tuner.lease") == [(1, 0)]
        assert fleet.states() == {"COMPLETE": 1}


def test_a_signal_during_an_outage_ends_the_agent_within_its_grace_and_costs_a_loss_at_most(
    external: ExternalServer, tuner_home: object, tmp_path: Path
) -> None:
    study = write_study(tmp_path, epochs=4000, width=128, trials=1, lease="1s")
    with open_fleet(external.url, tmp_path) as fleet:
        agent = fleet.start(study)
        fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
        external.stop()
        fleet.wait_for(lambda: "the database is away" in agent.output, "the outage noticed")
        asked_at = time.monotonic()
        agent.send(signal.SIGTERM)
        assert agent.wait(15) == 143, agent.output
        assert time.monotonic() - asked_at < 9, "the grace is 8 s"
        assert "the last hand-back may not have reached it" in agent.output
        assert "Traceback" not in agent.output
        external.start()
        heir = fleet.start(study)
        fleet.wait_for(
            lambda: fleet.query("select 1 from tuner.lease where attempt = 2"), "the takeover"
        )
        heir.send(signal.SIGTERM)
        assert heir.wait() == 143
        assert fleet.query("select failures, losses from tuner.lease") == [(0, 1)]


def test_a_signal_ends_the_agent_within_its_grace_although_the_database_hangs(
    external: ExternalServer, tuner_home: object, tmp_path: Path
) -> None:
    study = write_study(tmp_path, epochs=4000, width=128, trials=1)
    with open_fleet(external.url, tmp_path) as fleet:
        agent = fleet.start(study)
        fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
        processes = external.processes()
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(0.5)
            asked_at = time.monotonic()
            agent.send(signal.SIGTERM)
            assert agent.wait(15) == 143, agent.output
            assert time.monotonic() - asked_at < 8.5, "the grace is 8 s"
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
        assert "the last hand-back may not have reached it" in agent.output
        assert "Traceback" not in agent.output
