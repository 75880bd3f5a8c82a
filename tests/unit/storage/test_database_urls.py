"""URLs in and out, and the driver's errors in our words."""

from types import SimpleNamespace

import psycopg2
import psycopg2.errors
import pytest

from tuner.errors import DatabaseAway, DatabaseError, UsageError
from tuner.storage.connections import connection
from tuner.storage.connections.connecting import is_here, libpq_keywords
from tuner.storage.connections.connection import (
    database_errors,
    parse_argument,
    parse_url,
    render_url,
    storage_setting,
)

SECRET = "canary-secret"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user@host/name",
        "postgres://user@host/name",
        "postgresql+psycopg2://user@host/name",
        "postgresql+psycopg://user@host/name",
        "  postgresql://user@host/name\n",
    ],
)
def test_every_spelling_names_the_same_driver(text: str) -> None:
    assert render_url(parse_url(text)) == "postgresql+psycopg2://user@host/name"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("sqlite:///x.db", "names sqlite"),
        ("mysql://host/name", "names mysql"),
        ("http://host", "names http"),
        ("", "cannot be read"),
        ("host/name", "cannot be read"),
        (f"postgresql://user:{SECRET}@host:port/name", "cannot be read"),
    ],
)
def test_anything_but_postgres_is_refused_without_repeating_it(text: str, part: str) -> None:
    with pytest.raises(UsageError, match=part) as error:
        parse_url(text)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://user:{SECRET}@host/name",
        f"postgresql://user@host/name?password={SECRET}",
        f"postgresql://host/name?user=me&password={SECRET}",
        f"postgresql://host/name?sslpassword={SECRET}",
    ],
)
def test_a_password_is_refused_on_the_command_line_and_rendered_nowhere(text: str) -> None:
    with pytest.raises(UsageError, match="TUNER_STORAGE") as error:
        parse_argument(text)
    assert SECRET not in str(error.value)
    rendered = render_url(parse_url(text))
    assert SECRET not in rendered
    assert "***" not in rendered


def test_a_rendered_url_reads_back() -> None:
    url = parse_url("postgresql://user@/name?host=%2Ftmp%2Fa%20b%2Bc%25&port=5432")
    rendered = render_url(url)
    assert "host=/tmp/a" in rendered
    assert parse_url(rendered) == url


def test_the_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNER_STORAGE", f"postgresql://user:{SECRET}@there/name")
    assert storage_setting("postgresql://here/name").host == "here"  # type: ignore[union-attr]
    assert storage_setting(None).host == "there"  # type: ignore[union-attr]
    monkeypatch.setenv("TUNER_STORAGE", "")
    assert storage_setting(None) is None


class _Failed(psycopg2.OperationalError):
    """The driver's error with a code: its own cannot be set."""

    def __init__(self, text: str, code: str | None) -> None:
        super().__init__(text)
        self._code = code

    @property
    def pgcode(self) -> str | None:  # type: ignore[override]
        return self._code


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (None, "server closed the connection unexpectedly"),
        (None, 'connection to server on socket "/x" failed: No such file or directory'),
        (None, "FATAL:  the database system is starting up"),
        (None, ""),
        ("57P01", "terminating connection due to administrator command"),
        ("57014", "canceling statement due to statement timeout"),
        ("55P03", "canceling statement due to lock timeout"),
        ("40P01", "deadlock detected"),
        ("40001", "could not serialize access"),
        ("25P03", "terminating connection due to idle-in-transaction timeout"),
        ("53300", "too many connections"),
        ("53100", "could not extend file: No space left on device"),
        ("25006", "cannot execute INSERT in a read-only transaction"),
    ],
)
def test_what_passes_by_itself_is_away(code: str | None, text: str) -> None:
    with pytest.raises(DatabaseAway), database_errors():
        raise _Failed(text, code)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (None, 'FATAL:  password authentication failed for user "x"'),
        (None, "FATAL:  no such database: x"),
        (None, 'FATAL:  role "x" is not permitted to log in'),
        (None, "FATAL:  unsupported startup parameter: options"),
        (None, 'FATAL:  database "x" does not exist'),
        (None, 'FATAL:  Peer authentication failed for user "tuner"'),
        (None, "fe_sendauth: no password supplied"),
        ("42501", "permission denied for schema tuner"),
        ("42P01", 'relation "studies" does not exist'),
        ("23505", "duplicate key value"),
        ("22012", "division by zero"),
    ],
)
def test_what_stays_wrong_is_an_error_and_not_away(code: str | None, text: str) -> None:
    with pytest.raises(DatabaseError) as error, database_errors():
        raise _Failed(text, code)
    assert not isinstance(error.value, DatabaseAway)


def test_errors_are_one_line() -> None:
    with pytest.raises(DatabaseError) as error, database_errors():
        raise _Failed("first\n\tsecond\n", "42P01")
    assert str(error.value) == "first; second"


@pytest.mark.parametrize(
    ("host", "is_encrypted", "is_warned"),
    [
        ("db.example.org", False, True),
        ("10.0.0.7", False, True),
        ("db.example.org", True, False),
        ("localhost", False, False),
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("/var/lib/tuner/postgres/run", False, False),
    ],
)
def test_an_unencrypted_connection_to_another_host_is_told(
    host: str, is_encrypted: bool, is_warned: bool
) -> None:
    info = SimpleNamespace(host=host, ssl_in_use=is_encrypted)
    warnings = connection._warnings(SimpleNamespace(info=info))  # type: ignore[arg-type]
    assert bool(warnings) is is_warned
    assert all(host in text and "sslmode=require" in text for text in warnings)


HOSTS = [
    ("postgresql://me@h1:1,h2:2/name", {"host": "h1,h2", "port": "1,2"}),
    ("postgres://h1,h2", {"host": "h1,h2", "port": ","}),
    ("postgresql://h1:1,h2/name", {"host": "h1,h2", "port": "1,5432"}),
    ("postgresql://[::1]:1,[fe80::1]:2/name", {"host": "::1,fe80::1", "port": "1,2"}),
    ("postgresql://h1,h2,h3/name?port=6432", {"host": "h1,h2,h3", "port": "6432,6432,6432"}),
    ("postgresql:///name?host=h1,h2&port=6432", {"host": "h1,h2", "port": "6432,6432"}),
    ("postgresql:///name?host=h1%2Ch2&port=1%2C2", {"host": "h1,h2", "port": "1,2"}),
    ("postgresql:///name?host=h1:1&host=h2:2", {"host": "h1,h2", "port": "1,2"}),
    ("postgresql://me@%2Ftmp%2Fa/name", {"host": "/tmp/a"}),
    ("postgresql://me@%2Ftmp%2Fa:6432/name", {"host": "/tmp/a", "port": "6432"}),
    ("postgresql://h1,/name", {"host": "h1,", "port": ","}),
    (
        "postgresql://h1:1,h2:2/name?target_session_attrs=read-write&sslmode=require",
        {
            "host": "h1,h2",
            "port": "1,2",
            "target_session_attrs": "read-write",
            "sslmode": "require",
        },
    ),
]


@pytest.mark.parametrize(("text", "keywords"), HOSTS)
def test_hosts_are_those_that_libpq_would_connect_to(text: str, keywords: dict[str, str]) -> None:
    url = parse_url(text)
    given = {name: str(value) for name, value in libpq_keywords(url).items()}
    about = {name: value for name, value in given.items() if name not in ("dbname", "user")}
    assert about == keywords
    assert parse_url(render_url(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://user:{SECRET}@h1:x,h2/name",
        f"postgresql://user:{SECRET}@h1:1:2,h2/name",
        f"postgresql://user:{SECRET}@h1,h2/name?port=1,2,3",
        f"postgresql://user:{SECRET}@[::1,h2/name",
    ],
)
def test_hosts_that_libpq_does_not_take_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot be read") as error:
        parse_url(text)
    assert SECRET not in str(error.value)


def test_a_password_beside_several_hosts_is_rendered_nowhere() -> None:
    text = f"postgresql://user:{SECRET}@h1:1,h2:2/name"
    assert SECRET not in render_url(parse_url(text))
    with pytest.raises(UsageError, match="TUNER_STORAGE"):
        parse_argument(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1,localhost", True), ("127.0.0.1,10.0.0.1", False), ("/tmp,h", False)],
)
def test_of_several_hosts_all_have_to_be_here(host: str, expected: bool) -> None:
    assert is_here(host) is expected
