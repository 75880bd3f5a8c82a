"""The signals that ask a process of tuner to end."""

import signal


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return Ctrl-C, SIGTERM, and SIGHUP: a closed terminal or SSH connection.

    A process that was started with SIGHUP ignored (`nohup`) continues without its terminal.
    """
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hangs_up else ()))


def exit_code(number: int) -> int:
    """Return the exit code after a signal: 130 for Ctrl-C, otherwise 143."""
    return 128 + (number if number == signal.SIGINT else signal.SIGTERM)
