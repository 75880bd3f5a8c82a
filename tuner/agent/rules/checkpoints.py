"""Checkpoints of trials in training, on their way from the spool to the store and back."""

from tuner.agent.acts import Act, AskUpload, RemoveFile, Say
from tuner.agent.events import CheckpointLoaded, Uploaded
from tuner.agent.machine import Machine
from tuner.agent.notices import CheckpointTrouble
from tuner.agent.rules import stopping
from tuner.agent.state import Lane, Phase
from tuner.errors import UsageError
from tuner.messages import Kept, Saved
from tuner.study.checkpoint import MAX_STORED_BYTES, SavedFile


def file_of(lane: Lane, message: Saved | Kept) -> SavedFile:
    return SavedFile(
        key=lane.key,
        step=message.step,
        path=message.path,
        sha256=message.sha256,
        n_bytes=message.n_bytes,
    )


def saved(machine: Machine, lane: Lane, message: Saved) -> list[Act]:
    """Register a checkpoint with the next batch; upload it first if the store is elsewhere."""
    if not machine.book.has_object_store and message.n_bytes > MAX_STORED_BYTES:
        reason = (
            f"it has {message.n_bytes / 1e9:,.1f} GB, and the database takes up to "
            f"{MAX_STORED_BYTES >> 30} GiB; add `checkpoints: {{store: ...}}` to the study file"
        )
        removed = RemoveFile(path=message.path)
        return [removed, *not_saved(machine, lane, message.step, reason)]
    before, lane.saved = lane.saved, file_of(lane, message)
    was_posted, lane.is_saved_posted = lane.is_saved_posted, False
    if machine.book.has_object_store:
        acts: list[Act] = []
        # One that was posted may still be read by the store thread; it goes with the answer.
        if before and not was_posted and before not in (lane.uploading, lane.ready):
            acts.append(RemoveFile(path=before.path))
        return acts + _upload(lane)
    lane.has_save_trouble = False
    return _register(machine, lane, lane.saved)


def _register(machine: Machine, lane: Lane, file: SavedFile) -> list[Act]:
    """Add the checkpoint to the next batch, in place of one that waits for it."""
    replaced, lane.ready = lane.ready, file
    if machine.writes.flush_at is None:
        machine.writes.flush_at = machine.now + machine.book.flush_seconds
    return [] if replaced is None else [RemoveFile(path=replaced.path)]


def _upload(lane: Lane) -> list[Act]:
    """Upload the newest checkpoint, one at a time: on a slow link each upload still ends."""
    if lane.uploading is not None or lane.saved is None:
        return []
    lane.uploading = lane.saved
    return [AskUpload(saved=lane.saved)]


def uploaded(machine: Machine, event: Uploaded) -> list[Act]:
    """Register an uploaded checkpoint, and upload the next one."""
    lane = machine.lanes.get(event.saved.key)
    if lane is None or lane.uploading != event.saved:
        return []
    lane.uploading = None
    acts: list[Act] = []
    if event.is_stored:
        lane.has_save_trouble = False
        acts += _register(machine, lane, event.saved)
    elif event.error:
        acts += _trouble(machine, lane, event.saved.step, event.error, lane.stored_step)
    if lane.saved != event.saved:
        if not event.is_stored:
            acts.append(RemoveFile(path=event.saved.path))
        acts += _upload(lane)
    return acts


def not_saved(machine: Machine, lane: Lane, step: int, reason: str) -> list[Act]:
    """Continue the trial with the previous checkpoint; notify once until the next one is saved."""
    kept = lane.saved.step if lane.saved else lane.from_step
    return _trouble(machine, lane, step, reason, kept)


def _trouble(machine: Machine, lane: Lane, step: int, reason: str, kept: int) -> list[Act]:
    if lane.has_save_trouble:
        return []
    lane.has_save_trouble = True
    notice = CheckpointTrouble(number=lane.key.number, step=step, reason=reason, kept_step=kept)
    machine.shown.alerts.append((machine.now, notice.sentence))
    return [Say(notice=notice)]


def loaded(machine: Machine, event: CheckpointLoaded, now: float) -> list[Act]:
    """Start the lane from its checkpoint, or from the beginning without a usable one.

    A machine that cannot load it, or trusts no folders when it is one, releases its trials and
    ends: it would claim this trial again and again.
    """
    lane = machine.lanes.get(event.key)
    if lane is None or lane.phase is not Phase.LOADING:
        return []
    lane.phase, lane.checkpoint_path = Phase.QUEUED, event.path
    lane.from_step = lane.stored_step = event.step
    if event.error is not None:
        return stopping.leave_with(machine, event.error, now)
    if not event.is_folder or machine.book.trusts_folders:
        return []
    error = UsageError(
        f"trial {lane.key.number} continues from a folder, whose files may be pickles and run the "
        "code of anyone who can write to the database; add `checkpoints: {folders: trusted}` to "
        "the study file of this machine, or continue on one that has it"
    )
    return stopping.leave_with(machine, error, now)
