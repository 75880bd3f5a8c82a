"""What is said of a server's certificate that is refused, by a real libpq and a real server."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.pooler import PASSWORD, open_owned_database
from tests.postgres import NAME, SystemPostgres, open_system_postgres
from tuner.errors import DatabaseAway, DatabaseError, DatabaseRefused
from tuner.storage.connections import reconnects
from tuner.storage.connections.connection import open_database_url, parse_url


@pytest.fixture
def postgres() -> Iterator[SystemPostgres]:
    with open_system_postgres() as running, open_owned_database(running, "behind_tls"):
        yield running


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def _renew(postgres: SystemPostgres, days: int) -> None:
    """A certificate of the same key, valid from now on for so many days."""
    folder = postgres.folder
    new, request = folder / "new.crt", folder / "request"
    _openssl("req", "-new", "-key", folder / "server.key", "-subj", f"/CN={NAME}", "-out", request)
    _openssl(
        *("x509", "-req", "-in", request, "-signkey", folder / "server.key"),
        *("-days", str(days), "-out", new),
    )
    new.chmod(0o644)
    os.rename(new, postgres.certificate)
    postgres.sql("select pg_reload_conf()")
    postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'owner'")


def _url(postgres: SystemPostgres, roots: Path, mode: str = "verify-ca") -> str:
    more = f"&sslmode={mode}&sslrootcert={roots}"
    return postgres.url("owner", "behind_tls", password=PASSWORD, more=more)


def test_an_expired_certificate_is_called_so(postgres: SystemPostgres) -> None:
    _renew(postgres, -1)
    with pytest.raises(DatabaseError, match="certificate has expired: its administrator") as error:
        open_database_url(parse_url(_url(postgres, postgres.certificate)))
    assert not isinstance(error.value, DatabaseAway)
    assert "sslrootcert" not in str(error.value).partition("?")[0]


def test_an_unknown_issuer_is_not_called_expired(postgres: SystemPostgres, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    _openssl(
        *("req", "-new", "-x509", "-days", "30", "-nodes", "-subj", "/CN=other"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-keyout", tmp_path / "key", "-out", other),
    )
    with pytest.raises(DatabaseError, match=r"check sslrootcert, .* its issuer") as error:
        open_database_url(parse_url(_url(postgres, other)))
    assert "expired" not in str(error.value)


def test_another_host_and_a_missing_file_have_sentences_of_their_own(
    postgres: SystemPostgres, tmp_path: Path
) -> None:
    url = _url(postgres, postgres.certificate, "verify-full").replace(f"@{NAME}", "@other.test")
    with pytest.raises(DatabaseError, match="the URL must name the host of the certificate"):
        open_database_url(parse_url(url))
    with pytest.raises(DatabaseError, match="name another file with sslrootcert"):
        open_database_url(parse_url(_url(postgres, tmp_path / "missing")))


def test_a_certificate_that_is_renewed_late_is_an_outage(
    postgres: SystemPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnects, "PAUSE_SECONDS", 0.0)
    _renew(postgres, 30)
    roots = tmp_path / "roots"
    roots.write_bytes(postgres.certificate.read_bytes())
    with closing(open_database_url(parse_url(_url(postgres, roots)))) as database:
        _renew(postgres, -1)
        roots.write_bytes(postgres.certificate.read_bytes())
        with pytest.raises(DatabaseRefused, match="certificate verify failed"):
            database.open_raw()
        _renew(postgres, 30)
        roots.write_bytes(postgres.certificate.read_bytes())
        database.open_raw().close()
