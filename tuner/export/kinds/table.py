"""The final trainings by kind of objective, loaded on demand: both load torch."""

from collections.abc import Callable, Mapping

from tuner.export.final_job import Job, Trained

TrainFinally = Callable[[Job], Trained]


def _trainer() -> TrainFinally:
    from tuner.export.kinds.trainer import train_model  # noqa: PLC0415 - loads the models

    return train_model


def _function() -> TrainFinally:
    from tuner.export.kinds.function import train_function  # noqa: PLC0415 - one of two

    return train_function


def _command() -> TrainFinally:
    from tuner.export.kinds.command import train_command  # noqa: PLC0415 - one of three

    return train_command


FINAL_TRAININGS: Mapping[str, Callable[[], TrainFinally]] = {
    "trainer": _trainer,
    "function": _function,
    "command": _command,
}
