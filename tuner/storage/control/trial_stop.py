"""Commands of programs other than agents: stop one trial, add a note to the history."""

from tuner.errors import NotFound, UsageError
from tuner.storage.connections.connection import Database
from tuner.storage.connections.sessions import Session, run
from tuner.study.trial import TrialState


def stop_trial(database: Database, study_id: int, number: int, reason: str) -> None:
    """End a trial as PRUNED with its last report; its agent drops it at its next one.

    Raises `NotFound`, `UsageError` for one that is not open, `DatabaseError`.
    """
    session = Session(database)
    key: dict[str, object] = {"study_id": study_id, "number": number}
    try:
        with session.transaction("claim", "lock_numbers", key) as (cursor, _):
            run(cursor, "control", "lock_lease", key)
            one = {**key, "reason": reason, "lease_seconds": None}  # whichever agent holds it
            if run(cursor, "control", "end_here", one):
                return
            found = run(cursor, "control", "state", key)
    finally:
        session.close()
    if not found:
        raise NotFound(f"no trial {number}")
    ((state,),) = found
    if TrialState(state).is_final:
        raise UsageError(f"trial {number} is {state}: it has ended already")
    raise UsageError(f"trial {number} is {state}, and no agent of tuner has begun it")


def note_event(database: Database, study_id: int, kind: str, detail: str) -> None:
    """Add an event to the study's history; raises `DatabaseError`."""
    session = Session(database)
    try:
        note: dict[str, object] = {"study_id": study_id, "kind": kind, "detail": detail}
        session.rows("control", "note", note)
    finally:
        session.close()
