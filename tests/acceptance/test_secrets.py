"""A canary password is found nowhere, whichever way it came; TLS is warned about or required."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import (
    LIGHT,
    Finished,
    Tuner,
    build_environment,
    find_command,
    write_light_study,
    write_study,
)
from tests.postgres import NAME, SystemPostgres, open_system_postgres

CANARY = "canary-Tr0ub4dor-and-3"
OTHERS = ("unused-canary-in-PGPASSWORD", "unused-canary-in-a-file", "unused-canary-in-a-service")
REFUSED = (
    "tuner: a password on the command line can be read by every user of this machine; put the URL "
    "into TUNER_STORAGE, or the password into a file named by PGPASSFILE, or name a service "
    "(postgresql:///?service=NAME)\n"
)
# It shows all that it can get at, and fails in between.
TRAIN = """
import os
def look(process):
    for file in ("environ", "cmdline"):
        print(file, open(f"/proc/{process}/{file}").read().replace(chr(0), " "))
def above(process):
    return int(open(f"/proc/{process}/stat").read().rpartition(")")[2].split()[1])
def agent():  # above the template, which is above the reaper, which is above the worker
    return above(above(os.getppid()))
def agents_secrets():
    words = open(f"/proc/{agent()}/environ").read().split(chr(0))
    return "; ".join(word for word in words if word.startswith(("PG", "TUNER_STORAGE")))
def train(trial):
    print(dict(os.environ))
    look("self"), look(os.getppid()), look(above(os.getppid())), look(agent())
    trial.set_user_attr("environ", agents_secrets())
    for step in range(1, 9):
        trial.report(step=step, val_loss=trial.params["x"] / step)
        import time; time.sleep(0.1)
    if trial.params["x"] > 0.8:
        raise ValueError(agents_secrets())
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[SystemPostgres]:
    with open_system_postgres() as postgres:
        postgres.sql(f"create role app login password '{CANARY}'; create database app owner app")
        yield postgres


@pytest.fixture
def tuner(tmp_path: Path) -> Iterator[Tuner]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    tuner = Tuner(environment={"TUNER_HOME": str(home)})
    yield tuner
    tuner.close()


def ways(postgres: SystemPostgres, folder: Path) -> dict[str, dict[str, str]]:
    """The ways to give the password, each as environment variables."""
    passwords = folder / "pgpass"
    passwords.write_text(f"{NAME}:{postgres.port}:app:app:{CANARY}\n")
    passwords.chmod(0o600)
    services = folder / "services.conf"
    services.write_text(
        f"[studies]\nhost={NAME}\nhostaddr=127.0.0.1\nport={postgres.port}\nuser=app\ndbname=app\n"
        f"password={CANARY}\n"
    )
    services.chmod(0o600)
    url = postgres.url("app", "app")
    return {
        "url": {"TUNER_STORAGE": postgres.url("app", "app", password=CANARY)},
        "query": {"TUNER_STORAGE": f"{url}&password={CANARY}"},
        "variable": {"TUNER_STORAGE": url, "PGPASSWORD": CANARY},
        "file": {"TUNER_STORAGE": url, "PGPASSFILE": str(passwords)},
        "service": {
            "TUNER_STORAGE": "postgresql:///?service=studies",
            "PGSERVICEFILE": str(services),
        },
    }


class Watcher:
    """Looks at every process of the machine, again and again."""

    def __init__(self, agent: int) -> None:
        self.found: list[str] = []
        self.n_workers = 0
        self._agent = agent
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    self._look(entry)

    def _is_below_agent(self, process: Path) -> bool:
        while process.name not in ("0", "1"):
            if int(process.name) == self._agent:
                return True
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            process = process.with_name(parent)
        return False

    def _look(self, process: Path) -> None:
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            if CANARY in command:
                self.found.append(f"{process}/cmdline: {command}")
            if "tuner.worker" in command or "keeper.py" in command:
                self.n_workers += 1
                environment = (process / "environ").read_text(errors="replace")
                # Tests that run at the same time have databases of their own.
                words = ("TUNER_STORAGE", "PGPA") if self._is_below_agent(process) else ()
                if any(word in environment for word in (CANARY, *OTHERS, *words)):
                    self.found.append(f"{process}/environ of {command}")
        except OSError:
            pass  # it has just ended


def test_the_password_is_nowhere_after_a_run_with_failures(postgres, tuner, tmp_path):
    (tmp_path / "train.py").write_text(TRAIN)
    file = write_study(
        tmp_path,
        objective="train.py:train",
        search_space="{x: {float: [0, 1]}}",
        params="{epochs: 8}",
        budget="{trials: 3}",
        enqueue="[{x: 0.9}]",
        failures="{retries: 0, lease: 3s}",
    )
    way = ways(postgres, tmp_path)
    environment = {
        **way["service"],
        "PGPASSFILE": str(tmp_path / "unused"),
        **way["url"],
        "PGPASSWORD": OTHERS[0],
    }
    (tmp_path / "unused").write_text(f"*:*:*:*:{OTHERS[1]}\n")
    ended: list[Finished] = []
    # Its objective prints a traceback of its own, so `Tuner` cannot judge this one.
    agent = subprocess.Popen(
        [*find_command(), "run", str(file), "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=build_environment({**tuner.environment, **environment, **LIGHT}),
    )
    watcher = Watcher(agent.pid)
    try:
        lines = [agent.stderr.readline() for _ in range(5)]  # some trials have begun
        postgres.stop("immediate")
        time.sleep(1)
        refused = tuner("status", **way["url"], code=4)
        postgres.start()
        out, err = agent.communicate(timeout=60)
    finally:
        watcher.stop()
        agent.kill()
    assert agent.returncode == 0, "".join(lines) + err
    ended += [refused, Finished(code=0, out=out, err="".join(lines) + err)]
    for words in (
        ("status", "--json"),
        ("status", "plain", "--json"),
        ("trials", "plain", "--csv"),
        ("show", "plain", "0", "--json"),
        ("doctor", "--json"),
        ("db", "url", "--json"),
    ):
        ended.append(_finish(tuner, *words, **environment))
    ended.append(_finish(tuner, "logs", "plain", "0", **environment))
    ended.append(_finish(tuner, "show", "plain", "0", **environment))
    assert "TUNER_STORAGE=postgresql://app:***@" in ended[-2].out, "the objective saw it"
    texts = {f"command {n}": finished.out + finished.err for n, finished in enumerate(ended)}
    texts["the database"] = postgres.run(
        "pg_dump", "-h", str(postgres.folder), "-p", str(postgres.port), "-U", "postgres", "app"
    )
    assert "TUNER_STORAGE=" in texts["the database"], "the objective wrote it"
    for path in Path(tuner.environment["TUNER_HOME"]).rglob("*"):
        if path.is_file():
            texts[str(path)] = path.read_bytes().decode(errors="replace")
    canaries = (CANARY, OTHERS[0])
    assert [where for where, text in texts.items() if any(c in text for c in canaries)] == []
    home = Path(tuner.environment["TUNER_HOME"])
    assert [path for path in home.iterdir() if os.stat(path).st_mode & 0o077] == []
    assert watcher.found == []
    assert watcher.n_workers > 5


def _finish(tuner: Tuner, *words: str, **environment: str) -> Finished:
    done = subprocess.run(
        [*find_command(), *words],
        capture_output=True,
        text=True,
        check=False,
        env=build_environment({**tuner.environment, **environment}),
    )
    return Finished(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.mark.parametrize("way", ["query", "variable", "file", "service"])
def test_every_way_to_give_a_password_works_and_shows_nothing(postgres, tuner, tmp_path, way):
    environment = ways(postgres, tmp_path)[way]
    ended = tuner("status", **environment)
    shown = tuner.look("db", "url", **environment)
    assert CANARY not in ended.out + ended.err + shown.out + shown.err
    assert ended.out


def test_a_wrong_password_is_one_sentence_that_does_not_repeat_it(postgres, tuner):
    url = postgres.url("app", "app", password="wrong-canary-123")
    refused = tuner("status", TUNER_STORAGE=url, code=4)
    assert "canary" not in refused.err
    assert refused.err.count("\n") == 1
    assert "check the user, and the password in TUNER_STORAGE" in refused.err
    missing = tuner("status", TUNER_STORAGE=postgres.url("app", "app"), code=4)
    assert "no password supplied; put it into ~/.pgpass (mode 0600)" in missing.err


COMMANDS = [
    ("run", "a.yaml"),
    ("status",),
    ("trials", "a"),
    ("show", "a", "1"),
    ("logs", "a", "1"),
    ("best", "a"),
    *((word, "a") for word in ("stop", "pause", "resume", "extend", "retry", "enqueue", "delete")),
    ("doctor",),
    ("db", "url"),
    ("db", "serve"),
    ("db", "upgrade"),
    ("db", "grant", "reader", "a"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_takes_a_password(command, capfd):
    from tuner.cli.main import main

    for secret in (
        "postgresql://me:canary@host/name",
        "postgres://:canary@host/name",
        "postgresql://me:can/ary@host/name",
        "postgresql://me@host/name?password=canary",
        "postgresql://me@host/name?sslmode=require&sslpassword=canary",
        "host=here password=canary dbname=there",
        "host=here password = 'canary'",
    ):
        assert main([*command, "--storage", secret]) == 2
        shown = capfd.readouterr()
        assert (shown.out, shown.err) == ("", REFUSED)
    assert main(["status", "postgresql://me:canary@host/name"]) == 2
    assert capfd.readouterr().err == REFUSED


WARNING = (
    f"the connection to the database on {NAME} is not encrypted; add ?sslmode=require (or "
    "verify-full) to its URL"
)


def test_an_unencrypted_connection_to_another_machine_is_warned_about_once(
    postgres, tuner, tmp_path
):
    plain = postgres.url("app", "app", password=CANARY, more="&sslmode=disable")
    file = write_light_study(tmp_path, name="warned")
    ran = tuner("run", file, "--workers", 1, TUNER_STORAGE=plain, **LIGHT)
    assert ran.err.count("is not encrypted") == 1
    assert WARNING in ran.err
    looked = tuner("status", TUNER_STORAGE=plain)
    assert looked.err == f"note: {WARNING}\n"
    encrypted = tuner("status", TUNER_STORAGE=postgres.url("app", "app", password=CANARY))
    assert encrypted.err == ""


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("&sslmode=disable", None),
        ("", None),
        ("&sslmode=verify-full&sslrootcert={certificate}", None),
        ("&sslmode=verify-full&sslrootcert=/dev/null", "certificate"),
    ],
)
def test_required_tls_is_used_even_where_the_url_forbids_it(postgres, tuner, more, sentence):
    more = more.format(certificate=postgres.certificate)
    url = postgres.url("app", "app", password=CANARY, more=more)
    looked = tuner("status", "--require-tls", TUNER_STORAGE=url, code=4 if sentence else 0)
    assert (sentence or "") in looked.err
    assert "not encrypted" not in looked.err
    assert CANARY not in looked.err


def test_required_tls_refuses_a_server_without_it_before_the_password_travels(postgres, tuner):
    postgres.sql("alter system set ssl = off; select pg_reload_conf()")
    try:
        for environment in ({"TUNER_REQUIRE_TLS": "1"}, {}):
            words = [] if environment else ["--require-tls"]
            url = postgres.url("app", "app", password=CANARY)
            refused = tuner("status", *words, TUNER_STORAGE=url, **environment, code=4)
            assert "server does not support SSL, but SSL was required; switch TLS on" in refused.err
            assert refused.err.count("\n") == 1
        here = f"postgresql://app:{CANARY}@127.0.0.1:{postgres.port}/app"
        assert tuner("status", "--require-tls", TUNER_STORAGE=here).err == ""
        service = postgres.folder / "services.conf"
        service.write_text(f"[it]\nhost={NAME}\nhostaddr=127.0.0.1\nport={postgres.port}\n")
        refused = tuner(
            *("status", "--require-tls"),
            TUNER_STORAGE=f"postgresql://app:{CANARY}@/app?service=it",
            PGSERVICEFILE=str(service),
            code=4,
        )
        assert "the connection is not encrypted, and TLS is required" in refused.err
    finally:
        postgres.sql("alter system reset ssl; select pg_reload_conf()")
