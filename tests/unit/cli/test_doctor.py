"""What the doctor makes of what it finds."""

from dataclasses import replace

import pytest

from tuner.cli.doctor import judge, render
from tuner.storage.diagnosis import Diagnosis

HEALTHY = Diagnosis(
    role="me",
    server_version="17.2",
    is_standby=False,
    has_tls=True,
    is_local=False,
    clock_seconds=0.2,
    round_trip_seconds=0.002,
    optuna_revision="v3.2.0.a",
    known_revisions=frozenset({"v3.2.0.a"}),
    schema_version=2,
    known_version=2,
    can_create=True,
    can_read=True,
    can_write=True,
    can_delete=True,
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
        ({"has_tls": False}, {"tls": "warn"}),
        ({"has_tls": False, "is_local": True}, {}),
        ({"clock_seconds": -60.0}, {"clock": "warn"}),
        ({"can_write": False}, {"rights": "warn"}),
        ({"can_read": False}, {"rights": "fail"}),
        ({"can_create": False}, {}),
        (
            {"can_create": False, "schema_version": 0, "optuna_revision": None, "can_read": None},
            {"rights": "fail", "schemas": "warn"},
        ),
    ],
)
def test_each_fault_has_its_verdict_and_its_remedy(changes, expected):
    assert verdicts(**changes) == expected
    for finding in judge(replace(HEALTHY, **changes), "postgresql://me@h/n"):
        assert bool(finding.remedy) == (finding.verdict != "ok")
        assert render(finding).startswith(finding.verdict)
