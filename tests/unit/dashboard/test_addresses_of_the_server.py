"""What must be right before a socket opens."""

import os
import stat

import pytest

from tuner.dashboard.server import Serving, find_origin, load_key, read_token, serve
from tuner.errors import RunFailed, UsageError


def _token(folder, text="t" * 64, mode=0o600):
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_token_file_that_only_its_owner_reads_is_taken(tmp_path):
    assert read_token(_token(tmp_path, "t" * 64 + "\n")) == "t" * 64


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("t" * 64, 0o644, "others can read"),
        ("t" * 31, 0o600, "holds no token"),
        ("", 0o600, "holds no token"),
        ("t" * 2000, 0o600, "holds no token"),
        ("t" * 40 + " " + "u" * 40, 0o600, "holds no token"),
        ("ü" * 40, 0o600, "is not text"),
    ],
)
def test_other_token_files_are_refused_with_what_to_do(tmp_path, text, mode, said):
    with pytest.raises(UsageError, match=said):
        read_token(_token(tmp_path, text, mode))


def test_a_token_file_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(UsageError, match="cannot read the token file"):
        read_token(tmp_path / "nothing")


def test_the_key_of_sessions_is_made_once_and_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "home" / "dashboard.key"
    key = load_key(path)
    assert len(key) == 32
    assert load_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["dashboard.key"]


def test_a_torn_key_is_replaced(tmp_path):
    path = tmp_path / "dashboard.key"
    path.write_bytes(b"short")
    assert len(load_key(path)) == 32


def _serving(tmp_path, **changes):
    given = {"host": "127.0.0.1", "port": None, "token_file": None,
             "metrics_token_file": None, "allow_hosts": [],
             "allow_actions": False, "key_file": tmp_path / "key"}  # fmt: skip
    return Serving(**{**given, **changes})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "node1"])
def test_other_machines_are_let_in_with_a_token_file_only(tmp_path, host):
    with pytest.raises(UsageError, match="--token-file"):
        serve(None, _serving(tmp_path, host=host), print)


@pytest.mark.parametrize("name", ["a b", "http://x", "x/y", ""])
def test_a_name_that_is_no_host_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="is not the name"):
        serve(None, _serving(tmp_path, allow_hosts=[name]), print)


def test_a_port_that_is_taken_is_a_sentence(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunFailed, match=f"port {port}.*--port"):
            serve(None, _serving(tmp_path, port=port), print)


@pytest.mark.parametrize(
    ("host", "bound", "origin"),
    [
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8090"),
        ("127.0.0.2", "127.0.0.2", "http://127.0.0.2:8090"),
        ("localhost", "127.0.0.1", "http://127.0.0.1:8090"),
        ("::1", "::1", "http://[::1]:8090"),
        ("node1", "10.0.0.1", "http://node1:8090"),
    ],
)
def test_the_address_that_is_told_is_listened_on(host, bound, origin):
    assert find_origin(host, (bound, 8090)) == origin


def test_what_listens_everywhere_is_found_under_its_name():
    assert find_origin("0.0.0.0", ("0.0.0.0", 8090), ["node1.example.org"]) == (
        "http://node1.example.org:8090"
    )


def test_the_metrics_have_a_token_of_their_own(tmp_path):
    token = tmp_path / "token"
    token.write_text("t" * 40)
    token.chmod(0o600)
    given = {"host": "0.0.0.0", "token_file": token, "metrics_token_file": token}
    with pytest.raises(UsageError, match="give --metrics-token-file a file of its own"):
        serve(None, _serving(tmp_path, **given), print)
