"""Drains of machines and devices, from rows of the database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tuner.study.fleet import Drain


def build_drain(row: Sequence[Any]) -> Drain:
    """Build a drain from a row of the query `held` without its id, or of a heartbeat's answer."""
    study_id, host, boot, device, reason, by, role, at = row
    return Drain(
        host=host,
        boot=boot,
        device=device,
        by=by,
        role=role,
        at=datetime.fromtimestamp(float(at), UTC),
        reason=reason,
        is_for_all_studies=study_id is None,
    )
