"""`tuner`: runs a command, and imports its module only then."""

import argparse
import atexit
import gc
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from types import FrameType, ModuleType
from typing import cast

from tuner.cli.parser.build import build_parser
from tuner.cli.streams import clean_streams
from tuner.cli.terminal import drop_output
from tuner.errors import TunerError, UsageError
from tuner.signals import exit_code, stop_signals

# In a URL as user:password@ or in its query, and in libpq's form with a host.
HAS_PASSWORD = re.compile(
    r"(?i)\w://[^/@\s]*:[^@\s]+@|[?&](?:ssl)?password=\S|\bhost(?:addr)?\s*=.*\bpassword\s*="
    r"|\bpassword\s*=.*\bhost(?:addr)?\s*="
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Without `arguments`: those of this process."""
    _ready_streams()
    atexit.register(gc.freeze)  # otherwise the interpreter scans all objects before it ends
    if arguments is not None:
        return _run(arguments)
    atexit.register(
        _react, signal.SIG_IGN
    )  # the interpreter restores other handlers, but not these
    for number in {*stop_signals()} - {signal.SIGINT}:
        signal.signal(number, _terminate)
    code: object = 1
    try:
        code = _run(sys.argv[1:])
        return code
    except SystemExit as ended:
        code = ended.code
        raise
    finally:
        # The answer is given. Whatever the exit may wait for, a signal changes only when it ends.
        _end_at_signal(code if isinstance(code, int) else 1)


def _end_at_signal(code: int) -> None:
    """End with this code at the next signal that asks for an end.

    A thread waits for the signal: the main thread runs no handler for one that comes just before it
    begins to wait for other threads.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ends = {int(number) for number in (*stop_signals(), signal.SIGUSR1)}

    def wait() -> None:
        while not ends & {*os.read(reader, 1)}:
            pass
        os._exit(code)

    with suppress(RuntimeError):  # no thread can be started
        threading.Thread(target=wait, daemon=True).start()
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _react(lambda _number, _frame: os._exit(code))


def _react(handler: "Callable[[int, FrameType | None], object] | signal.Handlers") -> None:
    """Set the handler of the signals that ask for an end."""
    for number in (*stop_signals(), signal.SIGUSR1):
        signal.signal(number, handler)


def _run(words: Sequence[str]) -> int:
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks; the library ends the process
        from tuner.cli.commands.completion import complete  # noqa: PLC0415 - for shells alone

        complete(parser)
    if any(HAS_PASSWORD.search(word) for word in words):  # before any output may repeat it
        from tuner.storage.connections.connection import (  # noqa: PLC0415 - loads SQLAlchemy
            PASSWORD_REFUSED,
        )

        _tell(UsageError(PASSWORD_REFUSED))
        return UsageError.exit_code
    options = parser.parse_args(words)
    if getattr(options, "require_tls", False):
        os.environ["TUNER_REQUIRE_TLS"] = "1"  # for every connection of this process
    if not hasattr(options, "module"):
        parser.print_help()
        return 0
    try:
        module = _load(options.module)
        code = cast("Callable[[argparse.Namespace], int]", module.execute)(options)
        sys.stdout.flush()
    except TunerError as error:
        _tell(error, getattr(options, "log_format", None))
        return error.exit_code
    except KeyboardInterrupt:
        return exit_code(signal.SIGINT)
    except BrokenPipeError:
        # The reader of our output has left, as `tuner trials STUDY | head` does.
        drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        # This machine's, a full disk for instance: nothing that a traceback would explain.
        drop_output()
        _tell(error)
        return 1
    return code


def _load(name: str) -> ModuleType:
    """Load a command's module; collecting garbage meanwhile would only take time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        if was_enabled:
            gc.enable()


def _terminate(number: int, _frame: FrameType | None) -> None:
    """End as without a handler, but with the exit code that the README names, for SIGHUP too.

    Commands with trials to release or files to save install their own handlers meanwhile.
    """
    os._exit(exit_code(number))


def _tell(error: Exception, log_format: str | None = None) -> None:
    """Print an error as plain text: it may quote a file or an objective's output."""
    if log_format == "json":
        from tuner.cli.screen.log_lines import error_line  # noqa: PLC0415 - loads the views

        with suppress(OSError):
            return error_line(str(error))
    from tuner.cli.text.words import clean_log  # noqa: PLC0415 - no help page needs it

    with suppress(OSError):  # the terminal may be gone
        print(f"tuner: {clean_log(str(error))}", file=sys.stderr)


def _ready_streams() -> None:
    """Replace the streams by ones that take any text, steer no terminal, and are never closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for the whole process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    clean_streams()
