"""The trainer of Hugging Face in a trial: `TunerCallback` reports, prunes, saves and resumes.

callback = TunerCallback(trial)
arguments = TrainingArguments(num_train_epochs=3, **callback.arguments)
trainer = Trainer(model, arguments, ..., callbacks=[callback])
trainer.train(resume_from_checkpoint=callback.checkpoint)
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuner.integrations.ranks import act_on_first
from tuner.trial import Mistake, Trial

try:
    from accelerate.utils import broadcast_object_list
    from transformers import TrainerCallback
    from transformers.trainer_utils import get_last_checkpoint
except ImportError as error:
    raise ImportError(
        f"tuner.integrations.hugging_face needs transformers and accelerate ({error}): "
        "pip install 'tuner[hugging-face]'"
    ) from error

# Measures of speed, not of the model; `epoch` is no metric either.
_NOT_REPORTED = ("_runtime", "_samples_per_second", "_steps_per_second")


class TunerCallback(TrainerCallback):  # type: ignore[misc]  # the package is optional
    """Reports the metrics of each evaluation; a step is an epoch if each epoch is evaluated.

    With `eval_strategy="steps"` the steps count the evaluations. Of several evaluation sets, only
    the metrics of the first one are reported.

    A pruned or released trial leaves `Trainer.train` with the exception of `trial.report`. With
    several ranks only the first one reports, and all of them leave.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._reported_at = 0  # the global step of the last report
        self._is_training = False

    @property
    def arguments(self) -> dict[str, Any]:
        """Return arguments of `TrainingArguments`: device, seed, folder, a report for each epoch.

        The trainer saves after an evaluation if a checkpoint of the trial is due.
        """
        return {
            "output_dir": str(self._trial.checkpoint.folder()),
            "use_cpu": self._trial.device == "cpu",
            "seed": self._trial.seed,
            "eval_strategy": "epoch",
            "save_strategy": "no",
            "save_total_limit": 1,
            "report_to": "none",
        }

    @property
    def checkpoint(self) -> str | None:
        """Return the checkpoint to continue from, for `Trainer.train`; None at the beginning."""
        return get_last_checkpoint(str(self._trial.checkpoint.folder()))  # type: ignore[no-any-return]

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Check that the trial continues if it has a checkpoint."""
        self._is_training = True
        self._reported_at = state.global_step

        def check() -> None:
            if self.checkpoint and not state.global_step:
                raise Mistake(
                    "the trial continues from a checkpoint, and Trainer.train does not; call "
                    "trainer.train(resume_from_checkpoint=callback.checkpoint)"
                )

        self._act(args, state, check)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, Any], **kwargs: Any
    ) -> None:
        """Report, and raise the end of the trial; evaluations outside the training do not count."""
        if not self._is_training or state.global_step <= self._reported_at:
            return
        self._reported_at = state.global_step
        values = {
            name: value
            for name, value in metrics.items()
            if name != "epoch" and not name.endswith(_NOT_REPORTED)
        }
        is_by_epoch = args.eval_strategy == "epoch"
        step = round(state.epoch) if is_by_epoch else state.global_step // state.eval_steps
        self._act(args, state, lambda: self._trial.report(step=step, **values))
        is_due = state.is_world_process_zero and self._trial.checkpoint.is_due()
        control.should_save = control.should_save or _broadcast(args, is_due)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save what the trainer has just written, if a checkpoint is due."""
        self._act(args, state, lambda: self._trial.checkpoint.save(Path(args.output_dir)))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._is_training = False

    def _act(self, args: Any, state: Any, act: Callable[[], None]) -> None:
        act_on_first(
            act, is_first=state.is_world_process_zero, broadcast=lambda v: _broadcast(args, v)
        )


def _broadcast(args: Any, value: Any) -> Any:
    return broadcast_object_list([value])[0] if args.world_size > 1 else value
