"""Every object store: whole objects by key, and nothing outside of them."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.stores import BUCKET, SECRET, open_role_service, open_s3, write_profile
from tuner.errors import ObjectMissing, StoreFails
from tuner.storage.objects.store import ObjectStore, open_store
from tuner.study.secrets import redact
from tuner.study_file.stores import parse_store

if TYPE_CHECKING:
    from tests.google_store import GoogleStore

KINDS = ["file", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("s3", "gs"))]


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """A real server with the protocol of S3, on loopback."""
    with open_s3() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def google() -> Iterator["GoogleStore"]:
    """A stand-in for Google, on loopback."""
    from tests.google_store import open_google

    with open_google() as store:
        yield store


@pytest.fixture(params=KINDS)
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ObjectStore:
    if request.param == "file":
        location = parse_store("file:ck")
    elif request.param == "gs":
        account = request.getfixturevalue("google").write_account(tmp_path)
        monkeypatch.setenv("TUNER_STORE_PROFILE", str(account))
        location = parse_store(f"gs://{BUCKET}/{tmp_path.name}/deep")
    else:
        endpoint = request.getfixturevalue("s3_endpoint")
        _use_profile(tmp_path, endpoint, monkeypatch)
        location = parse_store(f"s3://{BUCKET}/{tmp_path.name}/deep")
    assert location is not None
    return open_store(location, tmp_path)


def _refuse(store: str, told: str, folder: Path) -> None:
    """Check that a store is refused in one sentence."""
    location = parse_store(store)
    assert location is not None
    with pytest.raises(StoreFails, match=told) as caught:
        open_store(location, folder)
    assert "\n" not in str(caught.value)


def _keep_a_file(store: str, folder: Path) -> None:
    location = parse_store(store)
    assert location is not None
    opened = open_store(location, folder)
    opened.put("d/1/2/a", _file(folder, b"abc"))
    assert _read(opened, "d/1/2/a", 3) == b"abc"


def _use_profile(folder: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in write_profile(folder, endpoint).items():
        monkeypatch.setenv(name, value)


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "source"
    path.write_bytes(content)
    return path


def _read(store: ObjectStore, key: str, n_bytes: int) -> bytes:
    return b"".join(store.read(key, n_bytes))


@pytest.mark.parametrize("n_bytes", [0, 7, (16 << 20) + 5])
def test_an_object_comes_back_byte_by_byte(
    store: ObjectStore, tmp_path: Path, n_bytes: int
) -> None:
    content = Random(n_bytes).randbytes(n_bytes)
    store.put("d/1/2/3-4-ab", _file(tmp_path, content))
    assert _read(store, "d/1/2/3-4-ab", n_bytes) == content


def test_a_missing_object_and_one_of_another_size_are_said(
    store: ObjectStore, tmp_path: Path
) -> None:
    with pytest.raises(ObjectMissing):
        _read(store, "d/1/2/none", 3)
    store.put("d/1/2/x", _file(tmp_path, b"abc"))
    with pytest.raises(ObjectMissing, match="not the file that was written"):
        _read(store, "d/1/2/x", 4)


def test_a_file_that_is_gone_is_not_an_error_of_the_store(
    store: ObjectStore, tmp_path: Path
) -> None:
    with pytest.raises(ObjectMissing, match="is gone"):
        store.put("d/1/2/x", tmp_path / "none")


def test_objects_are_removed_one_by_one_and_below_a_prefix(
    store: ObjectStore, tmp_path: Path
) -> None:
    keys = ["d/1/2/a", "d/1/2/b", "d/1/22/c", "d/10/2/d"]
    for key in keys:
        store.put(key, _file(tmp_path, b"abc"))
    store.remove(["d/1/2/a", "d/1/2/none"])
    store.remove_below("d/1/2/")
    store.remove_below("d/1/2/")
    for key in keys[:2]:
        with pytest.raises(ObjectMissing):
            _read(store, key, 3)
    assert [_read(store, key, 3) for key in keys[2:]] == [b"abc", b"abc"]
    store.remove_below("d/1/")
    with pytest.raises(ObjectMissing):
        _read(store, "d/1/22/c", 3)
    assert _read(store, "d/10/2/d", 3) == b"abc"


@pytest.mark.long
def test_a_bucket_that_is_not_there_is_one_sentence(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use_profile(tmp_path, s3_endpoint, monkeypatch)
    location = parse_store("s3://another-bucket/x")
    assert location is not None
    with pytest.raises(StoreFails, match="the checkpoint store s3://another-bucket/x: ") as caught:
        open_store(location, tmp_path).put("d/1/2/a", _file(tmp_path, b"abc"))
    assert "\n" not in str(caught.value)
    assert redact(SECRET) == "***"


def test_a_profile_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use_profile(tmp_path, "http://127.0.0.1:1", monkeypatch)
    monkeypatch.setenv("TUNER_STORE_PROFILE", "other")
    location = parse_store("s3://studies/x")
    assert location is not None
    with pytest.raises(StoreFails, match="have no profile 'other'"):
        open_store(location, tmp_path)


PROCESS = """\
import json
print(json.dumps({"Version": 1, "AccessKeyId": "KEY", "SecretAccessKey": "secret-of-a-process"}))
"""


@pytest.mark.long
@pytest.mark.parametrize("variable", ["TUNER_STORE_PROFILE", "AWS_PROFILE"])
def test_a_profile_may_get_its_keys_from_a_program(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    _use_profile(tmp_path, s3_endpoint, monkeypatch)
    monkeypatch.delenv("TUNER_STORE_PROFILE")
    monkeypatch.setenv(variable, "role")
    (tmp_path / "process.py").write_text(PROCESS)
    (tmp_path / "none").write_text(
        f"[profile role]\ncredential_process = {sys.executable} {tmp_path}/process.py\n"
        f"endpoint_url = {s3_endpoint}\n"
    )
    location = parse_store(f"s3://{BUCKET}/{tmp_path.name}")
    assert location is not None
    store = open_store(location, tmp_path)
    store.put("d/1/2/a", _file(tmp_path, b"abc"))
    assert _read(store, "d/1/2/a", 3) == b"abc"
    assert redact("secret-of-a-process") == "***"
    (tmp_path / "none").write_text("[profile role]\nregion = eu-central-1\n")
    with pytest.raises(StoreFails, match=f"{variable}: boto3 finds no credentials .*'role'"):
        open_store(location, tmp_path)


@pytest.mark.long
def test_without_keys_the_role_of_the_machine_counts(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("TUNER_STORE_PROFILE", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    location = parse_store(f"s3://{BUCKET}/{tmp_path.name}")
    assert location is not None
    with open_role_service() as (service, asked):
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", service)
        store = open_store(location, tmp_path)
        store.put("d/1/2/a", _file(tmp_path, b"abc"))
        assert _read(store, "d/1/2/a", 3) == b"abc"
    assert any(path.endswith("security-credentials/a-role") for path in asked)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "nonsense"),
        ("AWS_ENDPOINT_URL", "http://a b"),
        ("AWS_ENDPOINT_URL", "http://["),
        ("AWS_ENDPOINT_URL", ""),
        ("AWS_REGION", "eu central"),
        ("AWS_SKIP_SIGNATURE", "perhaps"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.delenv("TUNER_STORE_PROFILE", raising=False)
    monkeypatch.setenv(name, value)
    _refuse("s3://studies/x", value if value == "perhaps" else name, tmp_path)


@pytest.mark.parametrize("line", ["region = eu central", "endpoint_url = storage.example"])
def test_a_profile_with_a_setting_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    _use_profile(tmp_path, "http://127.0.0.1:1", monkeypatch)
    credentials = tmp_path / "credentials"
    replaced = line.split()[0]
    kept = [text for text in credentials.read_text().splitlines() if not text.startswith(replaced)]
    credentials.write_text("\n".join([*kept, line]))
    _refuse("s3://studies/x", "TUNER_STORE_PROFILE: the profile has no valid ", tmp_path)


# --- Google ---


@pytest.mark.long
def test_the_profile_precedes_the_users_own_account(
    google: "GoogleStore", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNER_STORE_PROFILE", str(google.write_account(tmp_path)))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "of-another-account"))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "of-another-account"))
    monkeypatch.setenv("GOOGLE_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    _keep_a_file(f"gs://{BUCKET}/{tmp_path.name}", tmp_path)
    assert google.objects[f"{tmp_path.name}/d/1/2/a"] == b"abc"
    assert {redact(line) for line in google.secrets} == {"***"}
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", "{}")
    _refuse(f"gs://{BUCKET}/x", "are both set; unset one of them", tmp_path)


@pytest.mark.long
def test_without_a_profile_the_users_own_account_counts(
    google: "GoogleStore", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNER_STORE_PROFILE", raising=False)
    account = google.write_account(tmp_path)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    monkeypatch.setenv("GOOGLE_BASE_URL", google.endpoint)
    _keep_a_file(f"gs://{BUCKET}/{tmp_path.name}", tmp_path)


@pytest.mark.long
def test_an_account_of_another_key_and_a_missing_bucket_are_one_sentence(
    google: "GoogleStore", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.google_store import GoogleStore

    account = google.write_account(tmp_path)
    monkeypatch.setenv("TUNER_STORE_PROFILE", str(account))
    location = parse_store("gs://another-bucket/x")
    assert location is not None
    with pytest.raises(StoreFails, match="store gs://another-bucket/x: no such bucket"):
        open_store(location, tmp_path).put("d/1/2/a", _file(tmp_path, b"abc"))
    other = GoogleStore()
    other.endpoint = google.endpoint
    other.write_account(tmp_path)
    location = parse_store(f"gs://{BUCKET}/x")
    assert location is not None
    with pytest.raises(StoreFails, match=f"store gs://{BUCKET}/x: ") as caught:
        open_store(location, tmp_path).put("d/1/2/a", _file(tmp_path, b"abc"))
    assert "\n" not in str(caught.value)
    assert google.n_refused >= 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("[ck]", "holds no JSON"),
        ("[]", "has no `type: service_account`"),
        ('{"type": "external_account"}', "has no `type: service_account`"),
        ('{"type": "service_account"}', "the checkpoint store gs://studies/x: "),
        (
            '{"type": "service_account", "gcs_base_url": "nonsense"}',
            "the profile has no valid base_url",
        ),
        (
            '{"type": "service_account", "gcs_base_url": ["https://a.example"]}',
            "the profile has no valid base_url",
        ),
    ],
)
def test_a_file_that_is_no_account_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, told: str
) -> None:
    path = tmp_path / "account.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("TUNER_STORE_PROFILE", str(path))
    _refuse("gs://studies/x", told, tmp_path)


@pytest.mark.parametrize("variable", ["GOOGLE_SERVICE_ACCOUNT", "SERVICE_ACCOUNT"])
def test_a_persons_profile_and_an_account_of_the_environment_are_not_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    path = tmp_path / "person.json"
    path.write_text(
        json.dumps(
            {
                "type": "authorized_user",
                "client_id": "a",
                "client_secret": "b-long-secret",
                "refresh_token": "c-long-token",
            }
        )
    )
    monkeypatch.setenv("TUNER_STORE_PROFILE", str(path))
    location = parse_store("gs://studies/x")
    assert location is not None
    open_store(location, tmp_path)
    monkeypatch.setenv(variable, str(tmp_path / "another.json"))
    _refuse("gs://studies/x", f"{variable} and TUNER_STORE_PROFILE are both set", tmp_path)


# --- files ---


def test_no_link_below_the_folder_is_followed(tmp_path: Path) -> None:
    location = parse_store("file:ck")
    assert location is not None
    store = open_store(location, tmp_path)
    store.put("d/1/2/x", _file(tmp_path, b"abc"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"abc")
    root = tmp_path / "ck"
    (root / "d/1/2/link").symlink_to(outside / "x")
    (root / "d/1/3").symlink_to(outside)
    for key in ("d/1/2/link", "d/1/3/x"):
        with pytest.raises(ObjectMissing):
            _read(store, key, 3)
    store.remove(["d/1/3/x"])
    with pytest.raises(StoreFails, match="symbolic link"):
        store.remove_below("d/1/3/")
    assert (outside / "x").read_bytes() == b"abc"
    with pytest.raises(StoreFails, match="Not a directory"):
        store.put("d/1/3/y", _file(tmp_path, b"abc"))
    assert [path.name for path in outside.iterdir()] == ["x"]


def test_files_are_private_and_a_folder_of_everybody_is_refused(tmp_path: Path) -> None:
    location = parse_store("file:ck")
    assert location is not None
    store = open_store(location, tmp_path)
    before = os.umask(0)
    try:
        store.put("d/1/2/x", _file(tmp_path, b"abc"))
    finally:
        os.umask(before)
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in (tmp_path / "ck").rglob("*")}
    assert modes == {True: 0o700, False: 0o600}
    (tmp_path / "ck").chmod(0o777)
    with pytest.raises(StoreFails, match="run: chmod o-w"):
        _read(store, "d/1/2/x", 3)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = parse_store("file:ck")
    assert location is not None
    store = open_store(location, tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(StoreFails, match="No space left on device"):
        store.put("d/1/2/x", _file(tmp_path, b"abc"))
    assert not [path for path in (tmp_path / "ck").rglob("*") if path.is_file()]
