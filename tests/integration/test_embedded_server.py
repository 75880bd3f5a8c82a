"""The embedded Postgres: its life from the first user to after the last, whoever is killed."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.integration.homes import REPOSITORY, HomeUser, Machine
from tuner.storage.embedded.binaries import find_server_user
from tuner.storage.embedded.keeper import is_running


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A server folder whose server has run once: its copies start quickly."""
    machine = Machine(None)
    try:
        with machine.user():
            pass
        machine.wait_until_stopped()
        yield machine.server
    finally:
        machine.remove()


@pytest.fixture
def new_machine(prepared: Path) -> Iterator[Callable[..., Machine]]:
    """Makes homes of one's own."""
    machines: list[Machine] = []

    def make(name: str = "home", *, has_run: bool = True) -> Machine:
        machines.append(Machine(prepared, name, has_run=has_run))
        return machines[-1]

    yield make
    for machine in machines:
        machine.remove()


@pytest.fixture
def machine(new_machine: Callable[..., Machine]) -> Machine:
    """A home where the server has run once."""
    return new_machine()


@pytest.fixture
def fresh_machine(new_machine: Callable[..., Machine]) -> Machine:
    """A home whose first user makes the cluster."""
    return new_machine(has_run=False)


def test_the_first_user_starts_it_and_the_last_one_out_stops_it(fresh_machine: Machine) -> None:
    with fresh_machine.user() as first:
        assert first.answer == "ok"
        postmaster = fresh_machine.postmaster()
        with fresh_machine.user() as second:
            assert second.answer == "ok"
            assert fresh_machine.postmaster() == postmaster
            first.leave()
            time.sleep(0.3)
            assert fresh_machine.is_up()
    fresh_machine.wait_until_stopped()
    assert fresh_machine.processes() == []


def test_what_was_written_is_there_when_it_starts_again(machine: Machine) -> None:
    with machine.user("create table kept as select 42 as n") as user:
        assert user.answer == "ok"
    machine.wait_until_stopped()
    with machine.user("select n from kept") as user:
        assert user.answer == "42"


def test_a_killed_owner_leaves_no_server_behind(machine: Machine) -> None:
    with machine.user() as user:
        user.process.kill()
        user.process.wait()
        machine.wait_until_stopped()
    assert machine.processes() == []


def test_an_owner_killed_while_it_starts_the_server_leaves_none_behind(machine: Machine) -> None:
    for delay in (0.25, 0.35, 0.45, 0.6):
        with machine.user(wait=False) as user:
            time.sleep(delay)
            user.process.kill()
            user.process.wait()
        machine.wait_until_stopped()
        machine.wait_until(lambda: machine.processes() == [], "no process left")


def test_an_owner_killed_before_the_server_says_its_number_leaves_none_behind(
    machine: Machine,
) -> None:
    machine.start_late(1.5)
    with machine.user(wait=False) as user:
        machine.wait_until(machine.is_starting, "a server starts")
        user.process.kill()
        user.process.wait()
    assert not machine.pid_file.exists(), "the kill came too late to show anything"
    machine.wait_until(lambda: machine.processes() == [], "no process left")


def test_a_killed_keeper_is_replaced_without_an_interruption(machine: Machine) -> None:
    with machine.user() as user:
        postmaster = machine.postmaster()
        for pid in machine.keepers():
            os.kill(pid, signal.SIGKILL)
        machine.wait_until(lambda: len(machine.keepers()) == 1, "another keeper")
        with machine.user("select 1") as second:
            assert second.answer == "1"
        assert machine.postmaster() == postmaster
        assert user.process.poll() is None
    machine.wait_until_stopped()
    assert machine.processes() == []


@pytest.mark.parametrize(
    "what", [(b"keeper.py",), (b"server_parent.py",), (b"keeper.py", b"_parent")]
)
@pytest.mark.parametrize("is_owner_killed", [True, pytest.param(False, marks=pytest.mark.long)])
def test_it_ends_with_its_last_user_whatever_else_was_killed(
    machine: Machine, what: tuple[bytes, ...], is_owner_killed: bool
) -> None:
    with machine.user() as user:
        for pid in machine.processes():
            if any(part in Path(f"/proc/{pid}/cmdline").read_bytes() for part in what):
                os.kill(pid, signal.SIGKILL)
        if is_owner_killed:
            user.process.kill()
            user.process.wait()
    machine.wait_until_stopped()
    machine.wait_until(lambda: machine.processes() == [], "no process left")


def test_a_server_whose_parent_was_killed_is_started_again_for_the_next_user(
    machine: Machine,
) -> None:
    with machine.user("create table kept as select 7 as n") as first:
        (parent,) = [
            pid
            for pid in machine.processes()
            if b"server_parent.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(parent, signal.SIGKILL)
        with machine.user("select n from kept") as second:
            assert second.answer == "7"
            first.leave()
            assert machine.is_up()
    machine.wait_until_stopped()


def test_a_killed_postmaster_is_replaced_by_the_next_user_and_nothing_is_lost(
    machine: Machine,
) -> None:
    with machine.user("create table kept as select 7 as n") as first:
        os.kill(machine.postmaster(), signal.SIGKILL)
        with machine.user("select n from kept") as second:
            assert second.answer == "7"
            first.leave()
            assert machine.is_up()
    machine.wait_until_stopped()


def _leave_pid_files_of(machine: Machine, pid: int) -> None:
    """What a crash leaves behind when the postmaster's number is given out again."""
    with machine.user():
        files = [machine.pid_file, machine.run_folder / ".s.PGSQL.5432.lock"]
        lines = [file.read_text().split("\n", 1)[1] for file in files]
        owners = [file.stat() for file in files]
    machine.wait_until_stopped()
    for file, rest, owner in zip(files, lines, owners, strict=True):
        file.write_text(f"{pid}\n{rest}")
        os.chown(file, owner.st_uid, owner.st_gid)
        file.chmod(0o600)


def test_a_cluster_keeps_its_user_whoever_comes_to_the_machine_later(tmp_path: Path) -> None:
    cluster = tmp_path / "data"
    cluster.mkdir()
    if os.geteuid() != 0:
        assert find_server_user(cluster) is None
        return
    first = find_server_user(cluster)
    assert first == find_server_user(), "a folder of root's is no cluster"
    os.chown(cluster, 65_534, 65_533)
    kept = find_server_user(cluster)
    assert kept is not None
    assert (kept.uid, kept.gid) == (65_534, 65_533)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A live process of the server's user that is no Postgres."""
    user = find_server_user()
    process = subprocess.Popen(["sleep", "600"], cwd="/", user=user.uid if user else None)
    yield process
    process.kill()
    process.wait()


def test_stale_files_that_name_a_foreign_live_process_do_not_count(
    machine: Machine, stranger: subprocess.Popen[bytes]
) -> None:
    _leave_pid_files_of(machine, stranger.pid)
    with machine.user() as user:
        assert user.answer == "ok"
    machine.wait_until_stopped()
    assert stranger.poll() is None


def test_the_keeper_never_signals_a_foreign_process(
    machine: Machine, stranger: subprocess.Popen[bytes]
) -> None:
    _leave_pid_files_of(machine, stranger.pid)
    started = time.monotonic()
    machine.run_keeper()
    assert time.monotonic() - started < 5
    assert stranger.poll() is None


def test_a_torn_initdb_counts_for_nothing_and_is_cleared_away(fresh_machine: Machine) -> None:
    with fresh_machine.user(wait=False) as user:
        fresh_machine.wait_until(lambda: fresh_machine.torn_folders() != [], "initdb at work")
        user.process.kill()
        user.process.wait()
    assert not (fresh_machine.server / "data").exists()
    fresh_machine.wait_until(lambda: fresh_machine.processes() == [], "no process left")
    with fresh_machine.user() as user:
        assert user.answer == "ok"
        assert fresh_machine.torn_folders() == []


def test_six_users_at_the_same_moment_share_one_fresh_server(fresh_machine: Machine) -> None:
    users = [HomeUser(fresh_machine, "select 1") for _ in range(6)]
    try:
        assert [user.wait_for_answer() for user in users] == ["1"] * 6
        postmasters = [p for p in fresh_machine.processes() if fresh_machine.is_postmaster(p)]
        assert len(postmasters) == 1
        fresh_machine.wait_until(lambda: len(fresh_machine.keepers()) == 1, "one keeper")
    finally:
        for user in users:
            user.leave()
    fresh_machine.wait_until_stopped()
    assert fresh_machine.processes() == []


def test_users_that_come_and_go_all_the_time_always_find_a_server(machine: Machine) -> None:
    for _ in range(4):
        users = [HomeUser(machine, "select 1") for _ in range(2)]
        for user in users:
            assert user.wait_for_answer() == "1"
            user.leave()
    machine.wait_until_stopped()


def test_it_runs_as_an_unprivileged_user_and_only_that_one_reads_its_files(
    fresh_machine: Machine,
) -> None:
    with fresh_machine.user():
        uid = Path(f"/proc/{fresh_machine.postmaster()}").stat().st_uid
        assert uid != 0
        modes = {
            path.relative_to(fresh_machine.server).as_posix(): stat.S_IMODE(path.stat().st_mode)
            for path in fresh_machine.server.iterdir()
            if not path.name.startswith("binaries-")
        }
        socket = fresh_machine.run_folder / ".s.PGSQL.5432"
        assert socket.stat().st_uid == uid
    assert modes == {
        "data": 0o700,
        "run": 0o700,
        "users.lock": 0o600,
        "start.lock": 0o600,
        "keeper.lock": 0o600,
        "server.log": 0o600,
        "server.lock": 0o600,
    }
    assert stat.S_IMODE((fresh_machine.home / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((fresh_machine.home / "spool").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_two_users_of_one_machine_each_have_their_own_server(
    machine: Machine, new_machine: Callable[..., Machine]
) -> None:
    other = new_machine(has_run=False)
    other.give_to_another_user()
    with machine.user("select current_user") as mine, other.user("select current_user") as theirs:
        assert (mine.answer, theirs.answer) == ("tuner", "tuner")
        uid = Path(f"/proc/{other.postmaster()}").stat().st_uid
        assert uid == other.owner.pw_uid
        assert uid != Path(f"/proc/{machine.postmaster()}").stat().st_uid
        for path in (machine.run_folder, machine.server / "data", machine.server / "server.log"):
            assert "Permission denied" in other.run_as_owner("head", str(path / "."))
        assert "Permission denied" in other.run_as_owner("touch", str(machine.home / "x"))
        assert "Permission denied" in other.run_as_owner("cat", str(machine.server / "users.lock"))
    machine.wait_until_stopped()
    other.wait_until_stopped()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_server_itself_refuses_another_user_of_the_machine(machine: Machine) -> None:
    with machine.user():
        for folder in (machine.server, machine.run_folder):
            folder.chmod(0o755)  # as if the folder's mode did not protect it
        script = f"host={machine.run_folder} user=tuner dbname=tuner"
        code = f"import psycopg2; psycopg2.connect({script!r})"
        output = machine.run_as_nobody_python(code)
        assert "Peer authentication failed" in output
        machine.run_folder.chmod(0o700)
        assert "Permission denied" in machine.run_as_nobody_python(code)


@pytest.mark.parametrize("name", ["h" * 120, "a b, c+d %20e", "ünï'code"])
def test_any_folder_name_will_do(new_machine: Callable[..., Machine], name: str) -> None:
    machine = new_machine(name)
    with machine.user("select 5") as user:
        assert user.answer == "5"
        with machine.user("select 6", TMPDIR=str(machine.root)) as other:
            assert other.answer == "6"
    machine.wait_until_stopped()


def test_settings_for_other_databases_do_not_reach_it(machine: Machine) -> None:
    elsewhere: dict[str, Any] = {"PGPORT": "6543", "PGUSER": "x", "PGDATABASE": "x", "PGDATA": "/x"}
    with machine.user("select 1", **elsewhere) as user, machine.user("select 2") as other:
        assert (user.answer, other.answer) == ("1", "2")


def test_a_strict_umask_does_not_shut_the_server_out(fresh_machine: Machine) -> None:
    shutil.rmtree(fresh_machine.home)
    with fresh_machine.user("select 1", umask=0o077) as user:
        assert user.answer == "1"
    fresh_machine.wait_until_stopped()


def test_a_home_that_everybody_may_write_is_refused(fresh_machine: Machine) -> None:
    shutil.rmtree(fresh_machine.server, ignore_errors=True)
    fresh_machine.home.chmod(0o777)
    with fresh_machine.user() as user:
        assert user.answer == (
            f"RunFailed: {fresh_machine.home} can be written by every user of this machine; "
            "chmod o-w it"
        )
    assert list(fresh_machine.home.iterdir()) == []


def test_a_home_below_a_file_gives_one_sentence(fresh_machine: Machine) -> None:
    (fresh_machine.root / "file").write_text("")
    fresh_machine.home = fresh_machine.root / "file" / "home"
    with fresh_machine.user() as user:
        assert user.answer == (
            f"RunFailed: cannot use the folder {fresh_machine.home} (Not a directory); "
            "set TUNER_HOME to one that you may write"
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a server user")
@pytest.mark.parametrize("has_run", [True, False])
def test_a_home_that_the_servers_user_cannot_reach_gives_one_sentence(
    new_machine: Callable[..., Machine], has_run: bool
) -> None:
    machine = new_machine(has_run=has_run)
    machine.root.chmod(0o700)
    with machine.user() as user:
        assert user.answer.startswith(
            f"DatabaseError: {machine.server} of the embedded Postgres cannot be used by "
        )
        assert "TUNER_HOME" in user.answer
    assert (machine.server / "data").exists() == has_run


@pytest.mark.skipif(os.geteuid() != 0, reason="root may write everywhere")
def test_a_home_that_one_may_not_write_gives_one_sentence(fresh_machine: Machine) -> None:
    fresh_machine.give_to_another_user()
    os.chown(fresh_machine.home, 0, 0)
    for folder in fresh_machine.home.iterdir():
        folder.rmdir()
    with fresh_machine.user() as user:
        assert user.answer == (
            f"RunFailed: cannot use the folder {fresh_machine.home} (Permission denied); "
            "set TUNER_HOME to one that you may write"
        )


NAMELESS = 54_321  # a user id as containers give it: in no /etc/passwd


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    "command",
    [
        "status",
        "run s.yaml",
        *(pytest.param(it, marks=pytest.mark.long) for it in ("doctor", "db url", "dashboard")),
    ],
)
def test_a_user_without_home_and_name_gets_one_sentence(machine: Machine, command: str) -> None:
    file = machine.root / "s.yaml"
    shutil.copy(REPOSITORY / "studies" / "digits.yaml", file)
    words = [str(file) if word == "s.yaml" else word for word in command.split()]
    code = f"import sys; from tuner.cli.main import main; sys.exit(main({words!r}))"
    said = machine.run_python_as(NAMELESS, NAMELESS, code)
    assert f"user {NAMELESS} has no home folder on this machine; set TUNER_HOME" in said
    assert "Traceback" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_a_name_is_asked_for_a_role(machine: Machine) -> None:
    words = ["status", "--storage", "postgresql://127.0.0.1:1/studies"]
    code = f"import sys; from tuner.cli.main import main; sys.exit(main({words!r}))"
    said = machine.run_python_as(NAMELESS, NAMELESS, code)
    assert "the URL names no role" in said
    assert "Traceback" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_a_name_has_an_embedded_server(fresh_machine: Machine) -> None:
    nameless = pwd.struct_passwd(("", "x", NAMELESS, NAMELESS, "", "", ""))
    fresh_machine.give_to_another_user(nameless)
    with fresh_machine.user("select current_user") as user:
        assert user.answer == "tuner"
        assert Path(f"/proc/{fresh_machine.postmaster()}").stat().st_uid == NAMELESS
        with fresh_machine.user("select 7") as other:
            assert other.answer == "7"
    fresh_machine.wait_until_stopped()


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    folder.chmod(0o755)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_disk_that_is_full_is_named_as_the_cause(fresh_machine: Machine) -> None:
    binaries = {path.name: path.resolve() for path in fresh_machine.server.iterdir()}
    with _mounted(fresh_machine.home, "size=16M"):
        fresh_machine.server.mkdir()
        for name, target in binaries.items():
            (fresh_machine.server / name).symlink_to(target)
        with fresh_machine.user() as user:
            assert "cannot create the embedded database" in user.answer
            assert "No space left on device" in user.answer


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_file_system_that_runs_no_programs_is_named_as_the_cause(fresh_machine: Machine) -> None:
    with _mounted(fresh_machine.home, "noexec"), fresh_machine.user() as user:
        assert "is on a file system mounted noexec; set TUNER_HOME" in user.answer


def test_a_server_that_cannot_start_says_what_its_log_says(machine: Machine) -> None:
    (machine.server / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with machine.user() as user:
        assert "the embedded Postgres did not start" in user.answer
        assert "no_such_setting" in user.answer
    machine.wait_until(lambda: machine.processes() == [], "no process left")


def test_no_tcp_port_is_open(machine: Machine) -> None:
    with machine.user():
        listing = Path(f"/proc/{machine.postmaster()}/net/tcp").read_text().splitlines()[1:]
        inodes = {line.split()[9] for line in listing if line.split()[3] == "0A"}
        held = set()
        for entry in Path(f"/proc/{machine.postmaster()}/fd").iterdir():
            held.add(os.readlink(entry).removeprefix("socket:[").rstrip("]"))
        assert not inodes & held
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(host="127.0.0.1", user="tuner", dbname="tuner", connect_timeout=2)


def test_looking_for_a_server_leaves_nothing_behind(tmp_path: Path) -> None:
    # else whoever removes a home while its keeper looks could not
    assert not is_running(tmp_path)
    assert list(tmp_path.iterdir()) == []
