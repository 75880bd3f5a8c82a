"""Credentials and settings of S3, or of a service with its protocol, as the AWS tools read them."""

import configparser
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuner.errors import StoreFails
from tuner.storage.objects.buckets import (
    STORE_PROFILE,
    BucketStore,
    is_endpoint,
    is_printable,
    read_setting,
    reason_of,
)
from tuner.study.secrets import remember
from tuner.study_file.stores import Bucket

PROFILES = (STORE_PROFILE, "AWS_PROFILE")  # variables, the first one that is set counts
_KEY = "AWS_ACCESS_KEY_ID"  # in the environment it precedes the second of them, as for other tools


def open_bucket(location: Bucket) -> BucketStore:
    """Open a bucket with the credentials of the profile, otherwise with those of the environment.

    Raises `StoreFails` without obstore, and for settings that cannot be used.
    """
    variable = _profile_variable()
    settings: dict[str, Any] = {} if variable is None else _read_profile(variable)
    variables = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoint = read_setting(settings, variable, "endpoint", variables, is_endpoint)
    read_setting(settings, variable, "region", ("AWS_REGION", "AWS_DEFAULT_REGION"), is_printable)
    return BucketStore(location, settings, endpoint)


def _profile_variable() -> str | None:
    """Return the variable that names the profile; None for the credentials of the environment."""
    store, usual = PROFILES
    if os.environ.get(store):
        return store
    return usual if os.environ.get(usual) and not os.environ.get(_KEY) else None


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
            f"{variable}: boto3 finds no credentials for the profile {name!r} ({reason_of(error)})"
        ) from error

    def provide() -> Any:
        found = fetch()
        for hidden in (found["secret_access_key"], found.get("token")):
            remember(hidden)
        return found

    return provide
