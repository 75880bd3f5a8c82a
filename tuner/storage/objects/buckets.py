"""Objects in a bucket of S3 or of Google Cloud Storage, through obstore.

obstore, and not fsspec: one wheel of 6 MB without dependencies, in which Rust's `object_store`
uploads large files in parts, several at a time and without the interpreter lock, and repeats failed
requests. fsspec would bring s3fs, aiobotocore and a botocore of one exact version, which often is
not the one that the user's own code needs.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tuner.errors import ObjectMissing, StoreFails
from tuner.study_file.stores import Bucket

if TYPE_CHECKING:
    from obstore.store import GCSStore, S3Store

STORE_PROFILE = "TUNER_STORE_PROFILE"  # the variable that names the agent's own credentials
_PIECE_BYTES = 1 << 20
_PART_BYTES = 16 << 20  # of an upload, at least
_MAX_PARTS = 9_000  # S3 takes 10,000
_PARTS_AT_ONCE = 4
_PRINTABLE = re.compile(r"[^\s\x00-\x1f\"<>\\^`{|}\x7f-\U0010ffff]*")  # in a URL
_RETRIES = {"max_retries": 6, "retry_timeout": timedelta(seconds=30)}


class BucketStore:
    """See `tuner.storage.objects.store.ObjectStore`."""

    def __init__(self, location: Bucket, settings: Mapping[str, Any], endpoint: str) -> None:
        """Use a bucket; raises `StoreFails` without obstore, and for settings it does not accept.

        `endpoint`: the service's URL, "" for the usual one.
        """
        self._location = location
        kind = _store_class(location.service)
        with self._errors():
            self._bound = kind(
                location.bucket,
                prefix=location.prefix or None,
                client_options={"allow_http": endpoint.startswith("http://")},
                retry_config=_RETRIES,  # type: ignore[arg-type]
                **settings,
            )

    @property
    def shown(self) -> str:
        return f"{self._location.service}://{self._location.bucket}/{self._location.prefix}".rstrip(
            "/"
        )

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
            try:
                obstore.delete(self._bound, list(keys))
            except FileNotFoundError:  # S3 ignores a missing object, and Google does not
                for key in keys:
                    with suppress(FileNotFoundError):
                        obstore.delete(self._bound, key)

    def remove_below(self, prefix: str) -> None:
        import obstore  # noqa: PLC0415 - an optional extra

        with self._errors():
            for found in obstore.list(self._bound, prefix):
                self.remove([meta["path"] for meta in found])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an optional extra

        try:
            yield
        except FileNotFoundError as error:
            raise ObjectMissing(f"the checkpoint store {self.shown}: no such object") from error
        except (OSError, BaseError, ValueError) as error:
            raise StoreFails(f"the checkpoint store {self.shown}: {reason_of(error)}") from error


def _store_class(service: str) -> "type[S3Store | GCSStore]":
    try:
        from obstore.store import GCSStore, S3Store  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise StoreFails(
            f"`checkpoints: {{store: {service}://...}}` needs an optional package: "
            f"pip install 'tuner[{service}]'"
        ) from error
    return {"s3": S3Store, "gs": GCSStore}[service]


def reason_of(error: BaseException) -> str:
    """Return the first line of the library's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def read_setting(
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
        if not (isinstance(value, str) and is_good(value)):
            raise StoreFails(f"{source} has no valid {name} of a checkpoint store")
    return next(iter(given.values()), "")


def is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return has_host and parts.scheme in ("http", "https") and _PRINTABLE.fullmatch(text) is not None


def is_printable(text: str) -> bool:
    return _PRINTABLE.fullmatch(text) is not None
