"""`docker-compose.yml`: it parses, has its parts, and its commands are tuner's own."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tuner.cli.main import build_parser
from tuner.storage.connections.connection import parse_url
from tuner.study_file.load import load_spec

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
AGENTS = ("tuner", "cpu")


@pytest.fixture(scope="module")
def compose() -> Any:
    return YAML(typ="safe").load(TEXT)


def _interpolate(text: str) -> str:
    """As compose fills `${NAME:-default}` in, where nothing is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_postgres_has_a_health_check_a_volume_and_its_password_from_the_env_file(
    compose: Any,
) -> None:
    postgres = compose["services"]["postgres"]
    assert postgres["image"] == "postgres:17"
    assert postgres["env_file"] == ".env"
    command = postgres["healthcheck"]["test"]
    assert command[:2] == ["CMD", "pg_isready"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert postgres["volumes"] == ["postgres:/var/lib/postgresql/data"]
    assert "profiles" not in postgres


def test_nothing_is_published_beyond_this_machine(compose: Any) -> None:
    for service in compose["services"].values():
        published = [_interpolate(port) for port in service.get("ports", [])]
        assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_waits_for_the_database_and_has_time_to_hand_back(compose: Any, name: str) -> None:
    agent = compose["services"][name]
    assert agent["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert agent["stop_grace_period"] == "30s"
    assert agent["shm_size"] == "2gb"
    sources = [volume.split(":")[0] for volume in agent["volumes"]]
    assert sources == ["./studies", "home"]
    assert set(compose["volumes"]) == {"postgres", "home", "dashboard"}


def test_only_the_gpu_profile_asks_for_gpus(compose: Any) -> None:
    gpu, cpu = (compose["services"][name] for name in AGENTS)
    (reservation,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert reservation == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert (gpu["profiles"], cpu["profiles"]) == (["gpu"], ["cpu"])
    assert "deploy" not in cpu


@pytest.mark.parametrize("name", AGENTS)
def test_the_command_is_tuners_own_and_its_study_is_there(compose: Any, name: str) -> None:
    words = shlex.split(_interpolate(compose["services"][name]["command"]))
    assert words[0] == "tuner"
    options = build_parser().parse_args(words[1:])
    assert options.module == "tuner.cli.commands.run"
    file = ROOT / options.study_file.lstrip("/")  # ./studies is mounted at /studies
    assert load_spec(file, ()).name == "digits"


def test_the_commands_of_its_head_are_tuners_own() -> None:
    commands = re.findall(r"^#.*\bcpu (tuner .*?)  ", TEXT, re.M)
    assert commands == ["tuner status digits"]
    for command in commands:
        build_parser().parse_args(shlex.split(command)[1:])


def test_the_dashboard_is_this_machines_alone_and_takes_a_token_of_its_own(compose: Any) -> None:
    dashboard = compose["services"]["dashboard"]
    assert dashboard["volumes"] == ["dashboard:/var/lib/tuner"]  # not the one of training code
    assert _interpolate(dashboard["ports"][0]) == "127.0.0.1:8090:8090"
    script = dashboard["command"][2].replace("$$", "$")
    (command,) = re.findall(r"exec (tuner .*)", script)
    options = build_parser().parse_args(shlex.split(command)[1:])
    assert (options.module, options.port) == ("tuner.cli.commands.dashboard", 8090)
    assert options.token_file == "$TUNER_HOME/token"
    assert not options.allow_actions
    assert script.index("umask 077") < script.index("token_hex(32)")
    lines = dashboard["build"]["dockerfile_inline"].splitlines()
    (shown,) = [line for line in lines if "show-address" in line]
    assert "$$(cat" in shown
    assert lines.index(shown) < lines.index("USER tuner")


@pytest.mark.parametrize("name", AGENTS)
def test_the_password_stands_in_no_file_and_in_no_url(compose: Any, name: str) -> None:
    environment = compose["services"][name]["environment"]
    url = parse_url(environment["TUNER_STORAGE"])
    assert (url.host, url.username, url.database, url.password) == (
        "postgres",
        "tuner",
        "tuner",
        None,
    )
    assert environment["PGPASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    postgres = compose["services"]["postgres"]["environment"]
    assert (url.username, url.database) == (postgres["POSTGRES_USER"], postgres["POSTGRES_DB"])
    assert "PASSWORD" not in "".join(postgres)
    assert ".env" in (ROOT / ".gitignore").read_text().split()


@pytest.mark.parametrize("name", AGENTS)
def test_the_image_is_built_from_files_of_this_repository_that_exist(
    compose: Any, name: str
) -> None:
    lines = compose["services"][name]["build"]["dockerfile_inline"].splitlines()
    assert lines[0] == "FROM python:3.12-slim"
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
    assert not {".", "./", ".env"} & set(copied), "a password in the context stays out"
    (install,) = [line for line in lines if "pip install" in line]
    assert install.split()[-3:] == ["-c", "/src/.ci/constraints.txt", "/src"]
    (user,) = [n for n, line in enumerate(lines) if line == "USER tuner"]
    assert user > lines.index(install)
    home = compose["services"][name]["environment"]["TUNER_HOME"]
    assert any(f"-o tuner -g tuner {home}" in line for line in lines[:user])
