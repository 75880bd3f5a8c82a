"""Training state that survives the process: `trial.checkpoint`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tuner.study.verdict import Verdict
from tuner.training.checkpoint_folder import clear_folder, is_folder_file, unpack_folder
from tuner.training.lane import Lane, UnfitState
from tuner.trial.ends import Mistake

FOLDER = "checkpoint"  # in the folder of the trial
UNTRUSTED = (
    "the trial saves a folder, and a folder may hold pickles, which run code when they are loaded; "
    "if you trust all who can write to the database and the checkpoint store, add `checkpoints: "
    "{folders: trusted}` to the study file"
)


class Owner(Protocol):
    """The trial, as its checkpoints see it."""

    @property
    def dir(self) -> Path: ...

    @property
    def step(self) -> int: ...

    def resume_after(self, step: int, value: float | None) -> None: ...

    def obey(self, verdict: Verdict, *, is_saved: bool) -> None: ...

    def end_if_swallowed(self) -> None: ...


class Checkpoints:
    """Training state that survives the process: `trial.checkpoint`."""

    def __init__(self, trial: Owner, lane: Lane) -> None:
        self._trial = trial
        self._lane = lane
        self.is_used = False
        self._folder: Path | None = None  # once it is prepared

    def load(self) -> Any:
        """Return the state to continue from, tensors on the CPU; None at a trial's beginning.

        Raises `Mistake` if the state is a folder: `folder` restores it.
        """
        self.is_used = True
        if self._lane.checkpoint is None:
            return None
        from tuner.training.checkpoint import load_checkpoint  # noqa: PLC0415 - loads torch

        file = Path(self._lane.checkpoint)
        if is_folder_file(file):
            raise Mistake(
                "the trial continues from a folder, which trial.checkpoint.load() cannot return; "
                "call trial.checkpoint.folder()"
            )
        self._trial.resume_after(self._lane.from_step, self._lane.last_value)
        return load_checkpoint(file)

    def folder(self) -> Path:
        """Return the folder `<trial.dir>/checkpoint`, for state that a library writes as files.

        It holds what the trial continues from, and is empty at a trial's beginning. After
        `report`, pass it to `save`. Raises `Mistake` unless the study file has `checkpoints:
        {folders: trusted}`, or if the state is not a folder.
        """
        self.is_used = True
        if self._folder is None:
            self._check_trust()
            self._folder = self._open_folder()
        return self._folder

    def _open_folder(self) -> Path:
        folder = self._trial.dir / FOLDER
        if self._lane.checkpoint is None:
            self._lane.once(lambda: clear_folder(folder))
            return folder
        file = Path(self._lane.checkpoint)
        if not is_folder_file(file):
            raise Mistake(
                "the trial continues from a state that is no folder, so trial.checkpoint.folder() "
                "has nothing to restore; call trial.checkpoint.load()"
            )

        def restore() -> None:
            clear_folder(folder)
            unpack_folder(file, folder, sha256=None)  # the hash was compared when it was fetched

        self._lane.once(restore)
        self._trial.resume_after(self._lane.from_step, self._lane.last_value)
        return folder

    def is_due(self) -> bool:
        """Return whether `save` would write now, for state that is expensive to prepare."""
        return self._lane.is_save_due(self._trial.step)

    def _check_trust(self) -> None:
        if not self._lane.trusts_folders:
            raise Mistake(UNTRUSTED)

    def save(self, state: object | Callable[[], object]) -> None:
        """Save the state after the last reported step if a checkpoint is due (`checkpoints.every`).

        It is a tree of dicts, lists, tuples, numbers, text, tensors and arrays; `state_dict()`s are
        such trees. Or it is the `Path` of a folder of regular files; see `folder`. A function as
        `state` is called only when a checkpoint is written. Call it after `report`. Raises as
        `report` does, and `Mistake` for anything else in the tree or the folder.
        """
        self.is_used = True
        self._trial.end_if_swallowed()
        if isinstance(state, Path):
            self._check_trust()  # now, not when the first checkpoint is due
        build: Callable[[], object] = state if callable(state) else lambda: state
        is_saved = self._save(build)
        verdict = self._lane.verdict()
        if verdict is Verdict.RELEASE and not is_saved:
            self._save(build)  # it came after the look at whether one is due
        self._trial.obey(verdict, is_saved=True)

    def _save(self, build: Callable[[], object]) -> bool:
        def checked() -> object:
            state = build()
            if isinstance(state, Path):
                self._check_trust()
            return state

        try:
            return self._lane.save(self._trial.step, checked)
        except UnfitState as error:
            raise Mistake(str(error)) from error
