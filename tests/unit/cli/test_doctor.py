"""What the doctor makes of what it finds."""

import threading
from dataclasses import replace

import pytest

from tuner.cli.commands import doctor
from tuner.cli.commands.doctor import Finding, call_within, examine, judge, render
from tuner.storage.schema.diagnosis import Diagnosis
from tuner.storage.schema.roles import RoleKind

HEALTHY = Diagnosis(
    role="me",
    server_version="17.2",
    is_standby=False,
    tls="TLSv1.3",
    is_pooled=False,
    has_limits=False,
    is_local=False,
    clock_seconds=0.2,
    round_trip_seconds=0.002,
    optuna_revision="v3.2.0.a",
    known_revisions=frozenset({"v3.2.0.a"}),
    schema_version=2,
    known_version=2,
    can_create=True,
    has_tables=True,
    kind=RoleKind.OWNER,
    missing=(),
)


def verdicts(**changes):
    found = judge(replace(HEALTHY, **changes), "postgresql://me@h/n")
    return {f.what: f.verdict for f in found if f.verdict != "ok"}


def test_a_healthy_database_has_nothing_to_mend():
    assert verdicts() == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"is_standby": True}, {"database": "fail"}),
        ({"round_trip_seconds": 0.5}, {"latency": "warn"}),
        ({"optuna_revision": "v9"}, {"schemas": "fail"}),
        ({"schema_version": 3}, {"schemas": "fail"}),
        ({"schema_version": 1}, {"schemas": "warn"}),
        ({"tls": None}, {"tls": "warn"}),
        ({"tls": None, "is_local": True}, {}),
        ({"clock_seconds": -60.0}, {"clock": "warn"}),
        ({"kind": RoleKind.WORKER, "missing": ()}, {}),
        ({"kind": RoleKind.READER, "missing": ("insert on trials",)}, {"rights": "warn"}),
        (
            {"kind": None, "missing": ("a", "b", "c", "d"), "schema_version": 0},
            {"rights": "fail", "schemas": "warn"},
        ),
        ({"can_create": False}, {}),
        ({"has_tables": False, "kind": None, "schema_version": 0}, {"schemas": "warn"}),
        (
            {"can_create": False, "schema_version": 0, "has_tables": False, "kind": None},
            {"rights": "fail", "schemas": "warn"},
        ),
    ],
)
def test_each_fault_has_its_verdict_and_its_remedy(changes, expected):
    assert verdicts(**changes) == expected
    for finding in judge(replace(HEALTHY, **changes), "postgresql://me@h/n"):
        assert bool(finding.remedy) == (finding.verdict != "ok")
        assert render(finding).startswith(f"{finding.verdict.ljust(4)}  ")


def test_the_kind_of_the_role_is_named():
    for kind, word in ((RoleKind.OWNER, "owner"), (RoleKind.WORKER, "worker")):
        (rights,) = (f for f in judge(replace(HEALTHY, kind=kind), "h") if f.what == "rights")
        assert rights.text.startswith(f"{word}: ")


def test_a_spool_that_others_can_read_or_that_takes_nothing_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNER_HOME", str(tmp_path))
    assert doctor._store().verdict == "ok"
    (tmp_path / "spool").chmod(0o755)
    assert "chmod 700" in doctor._store().remedy
    (tmp_path / "spool").chmod(0o700)

    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", full)
    found = doctor._store()
    assert (found.verdict, "No space left" in found.text) == ("fail", True)
    assert "TUNER_HOME" in found.remedy


def test_a_call_that_does_not_end_is_left():
    release = threading.Event()
    try:
        with pytest.raises(TimeoutError):
            call_within(0.01, release.wait)
    finally:
        release.set()
    assert call_within(60, lambda: 7) == 7
    with pytest.raises(KeyError):
        call_within(60, lambda: {}[1])


def test_a_check_without_an_answer_fails_and_the_next_one_begins(tmp_path, monkeypatch):
    release = threading.Event()
    monkeypatch.setenv("TUNER_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(doctor, "_DATABASE_SECONDS", 0.01)
    monkeypatch.setattr(doctor, "_torch", lambda: Finding(what="torch", verdict="ok", text=""))
    for name in ("_devices", "_home", "_data", "_store"):
        monkeypatch.setattr(doctor, name, release.wait)
    monkeypatch.setattr(doctor, "_look_at_database", lambda _storage: release.wait())
    order = []
    try:
        for finding in examine(None, order.append):
            order.append((finding.what, finding.verdict))
            if finding.what not in ("python", "torch"):
                assert finding.text == "no answer within 0.01 s"
                assert finding.remedy
    finally:
        release.set()
    names = ("python", "torch", "devices", "home", "data", "store", "database")
    verdicts = ("ok", "ok", *["fail"] * 5)
    pairs = zip(names, zip(names, verdicts, strict=True), strict=True)
    assert order == [each for pair in pairs for each in pair]


def test_torch_has_a_time_limit(monkeypatch):
    monkeypatch.setattr(doctor, "_TORCH", "import time; time.sleep(600)")
    monkeypatch.setattr(doctor, "_TORCH_SECONDS", 0.2)
    found = doctor._torch()
    assert (found.verdict, found.text) == ("fail", "no answer within 0.2 s")


def test_a_finding_is_folded_beside_its_name():
    found = Finding(what="clock", verdict="warn", text="one two three four", remedy="five " * 5)
    assert render(found, 37).split("\n") == [
        "warn  one two three four",
        "                 five five five five",
        "                 five",
    ]
    assert render(found).count("\n") == 1
    address = Finding(what="database", verdict="ok", text="postgresql://" + "a" * 80)
    assert render(address, 40) == f"ok    {address.text}"
