"""Errors raised in training, by their consequences."""

import traceback
from pathlib import Path

from tuner.study.verdict import Outcome
from tuner.training.fatal_errors import ModelMistake, is_out_of_memory

_MESSAGE = 500  # most characters of an error
_TRACEBACK = 20_000


def in_words(error: BaseException) -> str:
    """Return type and text of an error in one line."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} ({Path(error.filename).name}:{error.lineno})"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_MESSAGE].rstrip(": ")


def render_traceback(error: BaseException) -> str:
    """Return the traceback, or the end of a long one."""
    return "".join(traceback.format_exception(error))[-_TRACEBACK:]


def how_it_failed(error: BaseException) -> Outcome:
    """Return OUT_OF_MEMORY, MISTAKE or EXCEPTION."""
    if isinstance(error, ModelMistake):
        return Outcome.MISTAKE
    return Outcome.OUT_OF_MEMORY if is_out_of_memory(error) else Outcome.EXCEPTION
