"""The parts of a worker by kind of objective, loaded on demand because imports take time."""

from collections.abc import Callable, Mapping

from tuner.worker.objective import Prepare, Training


def _trainer() -> Training:
    from tuner.worker.kinds.trainer.objective import TRAINING  # noqa: PLC0415 - loads the models

    return TRAINING


def _function() -> Training:
    from tuner.worker.kinds.function.objective import TRAINING  # noqa: PLC0415 - one of two

    return TRAINING


def _command() -> Training:
    from tuner.worker.kinds.command.objective import TRAINING  # noqa: PLC0415 - no torch

    return TRAINING


def _prepare_trainer() -> Prepare:
    from tuner.worker.kinds.trainer.preparing import prepare_trainer  # noqa: PLC0415 - no torch

    return prepare_trainer


def _prepare_function() -> Prepare:
    from tuner.worker.kinds.function.preparing import prepare_function  # noqa: PLC0415 - torch

    return prepare_function


def _prepare_command() -> Prepare:
    from tuner.worker.kinds.command.preparing import prepare_command  # noqa: PLC0415 - no torch

    return prepare_command


TRAININGS: Mapping[str, Callable[[], Training]] = {
    "trainer": _trainer,
    "function": _function,
    "command": _command,
}
PREPARATIONS: Mapping[str, Callable[[], Prepare]] = {
    "trainer": _prepare_trainer,
    "function": _prepare_function,
    "command": _prepare_command,
}
