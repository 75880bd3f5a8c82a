"""Credentials and settings of Google Cloud Storage.

obstore speaks Google's XML protocol. A service account signs its own tokens, so no other library is
needed.
"""

import json
import os
from pathlib import Path
from typing import Any

from tuner.errors import StoreFails
from tuner.storage.objects.buckets import (
    STORE_PROFILE,
    BucketStore,
    is_endpoint,
    read_setting,
)
from tuner.study.secrets import remember
from tuner.study_file.stores import Bucket

_GOOGLE = "https://storage.googleapis.com"
_ACCOUNT = "service_account"
_PERSON = "authorized_user"  # of `gcloud auth application-default login`
# Of the user's own environment. obstore would mix them with those of the profile, or prefer them.
_OWN_KEYS = ("GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BEARER_TOKEN")
_OWN_ACCOUNTS = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "SERVICE_ACCOUNT")


def open_bucket(location: Bucket) -> BucketStore:
    """Open a bucket with the credentials of the profile, otherwise with those of the environment.

    Raises `StoreFails` without obstore, and for settings that cannot be used.
    """
    profile = STORE_PROFILE if os.environ.get(STORE_PROFILE) else None
    settings: dict[str, Any] = _read_profile(STORE_PROFILE) if profile else {}
    endpoint = read_setting(settings, profile, "base_url", ("GOOGLE_BASE_URL",), is_endpoint)
    return BucketStore(location, settings, endpoint)


def _read_profile(variable: str) -> dict[str, Any]:
    """Return the settings of a file with credentials, for obstore; they precede the environment."""
    path = Path(os.environ[variable]).expanduser()
    hint = "for gs:// it names a file with the key of a service account"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreFails(f"{variable}: {path} cannot be read ({error.strerror}); {hint}") from error
    except ValueError as error:
        raise StoreFails(f"{variable}: {path} holds no JSON; {hint}") from error
    kind = content.get("type") if isinstance(content, dict) else None
    if kind not in (_ACCOUNT, _PERSON):
        raise StoreFails(f"{variable}: {path} has no `type: {_ACCOUNT}`; {hint}")
    _remember(content)
    for name in _OWN_KEYS if kind == _ACCOUNT else (*_OWN_KEYS, *_OWN_ACCOUNTS):
        if os.environ.get(name):
            raise StoreFails(f"{name} and {variable} are both set; unset one of them")
    settings: dict[str, Any] = {
        "application_credentials": str(path),
        "base_url": content.get("gcs_base_url") or _GOOGLE,
        "skip_signature": False,
    }
    if kind == _ACCOUNT:
        settings["service_account"] = str(path)
    return settings


def _remember(content: dict[str, Any]) -> None:
    """Keep the secrets of the file out of all output, which may show a key line by line."""
    for name in ("private_key", "client_secret", "refresh_token"):
        for line in str(content.get(name, "")).splitlines():
            if not line.startswith("-----"):
                remember(line)
