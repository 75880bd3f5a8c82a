"""Objects in a bucket of S3, or of a service with its protocol, through obstore.

obstore, and not fsspec: one wheel of 6 MB without dependencies, in which Rust's `object_store`
uploads large files in parts, several at a time and without the interpreter lock, and repeats failed
requests. fsspec would bring s3fs, aiobotocore and a botocore of one exact version, which often is
not the one that the user's own code needs.
"""

import configparser
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tuner.errors import ObjectMissing, StoreFails
from tuner.study.secrets import remember
from tuner.study_file.stores import Bucket

if TYPE_CHECKING:
    from obstore.store import S3Store as Bound

PROFILES = ("TUNER_STORE_PROFILE", "AWS_PROFILE")  # variables, the first one that is set counts
_KEY = "AWS_ACCESS_KEY_ID"  # in the environment it precedes the second of them, as for other tools
_PIECE_BYTES = 1 << 20
_PART_BYTES = 16 << 20  # of an upload, at least
_MAX_PARTS = 9_000  # S3 takes 10,000
_PARTS_AT_ONCE = 4
_PRINTABLE = re.compile(r"[^\s\x00-\x1f\"<>\\^`{|}\x7f-\U0010ffff]*")  # in a URL
_RETRIES = {"max_retries": 6, "retry_timeout": timedelta(seconds=30)}


class S3Store:
    """See `tuner.storage.objects.store.ObjectStore`."""

    def __init__(self, location: Bucket, bind: "Callable[[], Bound]") -> None:
        """Use a bucket; raises `StoreFails` for settings that `bind` does not accept."""
        self._location = location
        with self._errors():
            self._bound = bind()

    @property
    def shown(self) -> str:
        return f"s3://{self._location.bucket}/{self._location.prefix}".rstrip("/")

    def put(self, key: str, source: Path) -> None:
        """Upload a file in parts; it appears when the last part has arrived."""
        import obstore  # noqa: PLC0415 - an optional extra

        try:
            n_bytes = source.stat().st_size
        except OSError as error:
            raise ObjectMissing(f"{source} is gone") from error
        try:
            with self._errors():
                obstore.put(
                    self._bound,
                    key,
                    source,
                    use_multipart=n_bytes > _PART_BYTES,
                    chunk_size=max(_PART_BYTES, n_bytes // _MAX_PARTS),
                    max_concurrency=_PARTS_AT_ONCE,
                )
        except ObjectMissing as error:
            raise StoreFails(f"the checkpoint store {self.shown}: no such bucket") from error

    def read(self, key: str, n_bytes: int) -> Iterator[bytes]:
        """Yield the content as it arrives."""
        import obstore  # noqa: PLC0415 - an optional extra

        with self._errors():
            found = obstore.get(self._bound, key)
            if found.meta["size"] != n_bytes:
                raise ObjectMissing(f"{self.shown}/{key} is not the file that was written")
            for piece in found.stream(min_chunk_size=_PIECE_BYTES):
                yield bytes(piece)

    def remove(self, keys: Sequence[str]) -> None:
        import obstore  # noqa: PLC0415 - an optional extra

        with self._errors():
            obstore.delete(self._bound, list(keys))

    def remove_below(self, prefix: str) -> None:
        import obstore  # noqa: PLC0415 - an optional extra

        with self._errors():
            for found in obstore.list(self._bound, prefix):
                obstore.delete(self._bound, [meta["path"] for meta in found])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an optional extra

        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissing(f"the checkpoint store {self.shown}: no such object") from error
        except (OSError, BaseError, ValueError) as error:
            raise StoreFails(f"the checkpoint store {self.shown}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """Return the first line of the library's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def open_bucket(location: Bucket) -> S3Store:
    """Open a bucket with the credentials of the profile, otherwise with those of the environment.

    Raises `StoreFails` without obstore, and for settings that cannot be used.
    """
    try:
        from obstore.store import S3Store as Bound  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise StoreFails(
            "`checkpoints: {store: s3://...}` needs an optional package: pip install 'tuner[s3]'"
        ) from error
    variable = _profile_variable()
    settings: dict[str, Any] = {} if variable is None else _read_profile(variable)
    variables = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoint = _setting(settings, variable, "endpoint", variables, _is_endpoint)
    _setting(settings, variable, "region", ("AWS_REGION", "AWS_DEFAULT_REGION"), _is_region)

    def bind() -> Bound:
        return Bound(
            location.bucket,
            prefix=location.prefix or None,
            client_options={"allow_http": endpoint.startswith("http://")},
            retry_config=_RETRIES,  # type: ignore[arg-type]
            **settings,
        )

    return S3Store(location, bind)


def _profile_variable() -> str | None:
    """Return the variable that names the profile; None for the credentials of the environment."""
    store, usual = PROFILES
    if os.environ.get(store):
        return store
    return usual if os.environ.get(usual) and not os.environ.get(_KEY) else None


def _setting(
    settings: Mapping[str, Any],
    profile: str | None,
    name: str,
    variables: Sequence[str],
    is_good: Callable[[str], bool],
) -> str:
    """Return the setting of the profile, otherwise that of the environment, "" without one.

    Raises `StoreFails` for one that would make obstore panic at the first request.
    """
    given = {f"{profile}: the profile": settings[name]} if name in settings else {}
    given = given or {key: os.environ[key] for key in variables if key in os.environ}
    for source, value in given.items():
        if not is_good(value):
            raise StoreFails(f"{source} has no valid {name} of a checkpoint store")
    return next(iter(given.values()), "")


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return has_host and parts.scheme in ("http", "https") and _PRINTABLE.fullmatch(text) is not None


def _is_region(text: str) -> bool:
    return _PRINTABLE.fullmatch(text) is not None


def _read_profile(variable: str) -> dict[str, Any]:
    """Return the settings of a profile in the files of the AWS tools, for obstore."""
    name = os.environ[variable]
    home = Path("~/.aws").expanduser()
    credentials = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or str(home / "credentials")
    config = os.environ.get("AWS_CONFIG_FILE") or str(home / "config")
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read([config, credentials], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise StoreFails(f"{variable}: {config} or {credentials} cannot be read") from error
    sections = [part for part in (f"profile {name}", name) if parser.has_section(part)]
    if not sections:
        raise StoreFails(f"{variable}: {config} and {credentials} have no profile {name!r}")
    values: dict[str, str] = {}
    for section in sections:
        values |= parser[section]
    key, secret = values.get("aws_access_key_id"), values.get("aws_secret_access_key")
    if key and secret:
        provider = _fixed(key, secret, values.get("aws_session_token"))
    else:
        provider = _by_boto3(variable, name)
    settings: dict[str, Any] = {"credential_provider": provider}
    if "region" in values:
        settings["region"] = values["region"]
    if "endpoint_url" in values:
        settings["endpoint"] = values["endpoint_url"]
    return settings


def _fixed(key: str, secret: str, token: str | None) -> Callable[[], dict[str, Any]]:
    """Return credentials that keep variables such as AWS_SESSION_TOKEN out."""
    for hidden in (secret, token):
        remember(hidden)
    return lambda: {
        "access_key_id": key,
        "secret_access_key": secret,
        "token": token,
        "expires_at": None,
    }


def _by_boto3(variable: str, name: str) -> Callable[[], Any]:
    """Return the credentials of a profile without keys: of a role, single sign-on or a process."""
    try:
        import boto3  # noqa: PLC0415 - optional, and slow to load
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415 - needs boto3
    except ImportError as error:
        raise StoreFails(
            f"{variable}: the profile {name!r} has no aws_access_key_id and aws_secret_access_key; "
            "for a role, single sign-on or credential_process: pip install boto3"
        ) from error
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - of boto3

    try:
        fetch = Boto3CredentialProvider(boto3.Session(profile_name=name))
    except (BotoCoreError, ValueError) as error:
        raise StoreFails(
            f"{variable}: boto3 finds no credentials for the profile {name!r} ({_reason(error)})"
        ) from error

    def provide() -> Any:
        found = fetch()
        for hidden in (found["secret_access_key"], found.get("token")):
            remember(hidden)
        return found

    return provide
