"""Lightning's trainer in a trial: `TunerCallback` reports, prunes, saves and resumes.

callback = TunerCallback(trial)
trainer = Trainer(max_epochs=trial.params["epochs"], callbacks=[callback], **callback.options)
trainer.fit(model, data, ckpt_path=callback.ckpt_path)
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuner.integrations.ranks import act_on_first, started_ranks
from tuner.trial import Mistake, Trial

# Someone who imports the older package has all of Lightning from there.
_IS_OLD_PACKAGE = "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules
try:
    if _IS_OLD_PACKAGE:
        from lightning_fabric.utilities.seed import _collect_rng_states, _set_rng_states
        from pytorch_lightning.callbacks import Checkpoint
    else:
        from lightning.fabric.utilities.seed import _collect_rng_states, _set_rng_states
        from lightning.pytorch.callbacks import Checkpoint
except ImportError as error:
    raise ImportError(
        f"tuner.integrations.lightning needs Lightning ({error}): pip install 'tuner[lightning]'"
    ) from error

CHECKPOINT = "lightning.ckpt"  # in the folder of `trial.checkpoint.folder()`


class TunerCallback(Checkpoint):  # type: ignore[misc]  # the package is optional
    """Reports all metrics at the end of each epoch with a validation, as the step of that epoch.

    A pruned or released trial leaves `Trainer.fit` with the exception of `trial.report`. With
    several ranks only the first one reports, and all of them leave. Characters of metrics that no
    name in Python has become "_": `val/loss` is reported as `val_loss`.

    It is a `Checkpoint` for Lightning: it runs after the model has logged the epoch's metrics, and
    Lightning adds no `ModelCheckpoint` of its own.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._has_validated = False  # in this epoch
        self._is_unsaved = False  # the last report
        self._generators: dict[str, Any] | None = None  # of a loaded checkpoint

    @property
    def options(self) -> dict[str, Any]:
        """Return the arguments of `Trainer` for the trial's devices and folder."""
        kind, _, index = self._trial.device.partition(":")
        n_ranks = started_ranks()
        devices: dict[str, Any] = {"accelerator": "cpu", "devices": n_ranks}
        if kind == "cuda":
            one = [int(index or 0)]
            devices = {"accelerator": "gpu", "devices": one if n_ranks == 1 else n_ranks}
        if n_ranks > 1:
            devices["strategy"] = "ddp"
        return {**devices, "default_root_dir": str(self._trial.dir)}

    @property
    def ckpt_path(self) -> str | None:
        """Return the checkpoint to continue from, for `Trainer.fit`; None at the beginning."""
        path = self._trial.checkpoint.folder() / CHECKPOINT
        return str(path) if path.exists() else None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Restore the generators of a loaded checkpoint, before any of them is used."""
        if self._generators is None:
            return
        if trainer.strategy.root_device.type != "cuda":
            self._generators.pop("torch.cuda", None)
        _set_rng_states(self._generators)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Check that the trial continues if it has a checkpoint."""

        def check() -> None:
            if self.ckpt_path is not None and self._generators is None:
                raise Mistake(
                    "the trial continues from a checkpoint, and Trainer.fit does not; call "
                    "trainer.fit(..., ckpt_path=callback.ckpt_path)"
                )

        self._act(trainer, check)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._has_validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report; raise the end of the trial."""
        if trainer.enable_validation and not self._has_validated:
            return
        self._has_validated, self._is_unsaved = False, True
        metrics = {re.sub(r"\W", "_", name): v for name, v in trainer.callback_metrics.items()}
        values = {name: float(value) for name, value in metrics.items()}
        step = trainer.current_epoch + 1
        self._act(trainer, lambda: self._trial.report(step=step, **values))

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Save the state between two epochs.

        At the end of an epoch a scheduler that follows a metric has not stepped yet. Now the new
        epoch is already counted as begun, which must not be in the checkpoint.
        """
        if not self._is_unsaved:
            return
        progress = trainer.fit_loop.epoch_progress
        counts = (progress.total, progress.current)
        begun = [count.ready for count in counts]
        for count in counts:
            count.ready = count.processed
        self._save(trainer)
        for count, ready in zip(counts, begun, strict=True):
            count.ready = ready

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Save the state after the last epoch, for the final training."""
        if self._is_unsaved:
            self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all generators, which Lightning does not save."""
        states = _collect_rng_states()
        if "numpy" in states:
            name, keys, *rest = states["numpy"]
            states["numpy"] = (name, keys.tolist(), *rest)  # readable with `weights_only`
        return {"generators": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep them until the training starts."""
        self._generators = state_dict["generators"]

    def _save(self, trainer: Any) -> None:
        """Save if a checkpoint is due: every rank takes part in writing one."""
        self._is_unsaved = False
        broadcast = trainer.strategy.broadcast

        def write() -> Path:
            folder = self._trial.checkpoint.folder()
            broadcast(True)
            trainer.save_checkpoint(folder / CHECKPOINT, weights_only=False)
            return folder

        def save() -> None:
            try:
                self._trial.checkpoint.save(write)
            finally:
                broadcast(False)

        if not trainer.is_global_zero:
            while broadcast(None):
                trainer.save_checkpoint(CHECKPOINT, weights_only=False)  # written by the first rank
        self._act(trainer, save)

    def _act(self, trainer: Any, act: Callable[[], None]) -> None:
        act_on_first(act, is_first=trainer.is_global_zero, broadcast=trainer.strategy.broadcast)
