"""The live screen on a real (pseudo) terminal."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

import pytest

from tests.acceptance.command import (
    LIGHT,
    SECONDS,
    build_environment,
    find_command,
    wait_until,
    write_light_study,
)

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
LONG = {"params": "{epochs: 3000}", "checkpoints": "{every: 1s}"}


class Terminal:
    """A command with a terminal of its own, and everything it has drawn."""

    def __init__(self, tuner, *arguments, columns=80, **environment):
        self.master, slave = pty.openpty()
        self.resize(columns)
        self.process = subprocess.Popen(
            [*find_command(), *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=build_environment({**tuner.environment, "TERM": "xterm", **LIGHT, **environment}),
            start_new_session=True,
            preexec_fn=self._take_terminal,
        )
        os.close(slave)
        self.content = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @staticmethod
    def _take_terminal():
        """Have it hang up its session when it is closed, also below `nohup pytest`."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def _read(self):
        while True:
            try:
                self.content += os.read(self.master, 65536)
            except OSError:
                return

    @property
    def text(self):
        return self.content.decode(errors="replace")

    def resize(self, columns, rows=24):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self):
        """Hang up, as a lost SSH connection does; its exit code."""
        os.close(self.master)
        return self.process.wait(SECONDS)

    def finish(self):
        code = self.process.wait(SECONDS)
        self._reader.join(5)
        os.close(self.master)
        assert "Traceback" not in self.text, self.text[-3000:]
        return code


@pytest.mark.parametrize(
    ("columns", "locale"), [(80, {}), (20, {"LC_ALL": "C", "PYTHONUTF8": "0"})]
)
def test_a_run_is_drawn_and_leaves_a_clean_summary(tuner, tmp_path, columns, locale):
    file = write_light_study(tmp_path, seconds=0.01, params="{epochs: 150}", budget="{trials: 3}")
    terminal = Terminal(tuner, "run", file, "--workers", 2, columns=columns, **locale)
    assert terminal.finish() == 0
    drawn, _, after = terminal.text.rpartition(LEAVE)
    assert drawn.count(ENTER) == 1
    assert "plain: finished" in after
    assert "best trial" in after
    assert "\x1b" not in after.replace("\x1b[?25h", "")


def test_ctrl_c_is_told_in_plain_lines_and_resizing_is_met(tuner, tmp_path):
    file = write_light_study(tmp_path, seconds=0.02, **LONG)
    two = re.compile(r"/3000[^\n]*/3000")
    terminal = Terminal(tuner, "run", file, "--workers", 2, columns=120)
    wait_until(lambda: two.search(terminal.text), "both devices are on the screen, training")
    terminal.resize(40, 10)
    os.kill(terminal.process.pid, signal.SIGWINCH)
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.finish() == 130
    drawn, _, after = terminal.text.rpartition(LEAVE)
    assert ENTER in drawn
    assert "SIGINT: releasing 2 trials" in after
    assert "trial 0: " in after
    assert "plain: idle" in after


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_dumb_terminal_gets_lines(tuner, tmp_path, environment):
    terminal = Terminal(tuner, "run", write_light_study(tmp_path), "--workers", 2, **environment)
    assert terminal.finish() == 0
    assert "\x1b" not in terminal.text
    assert "trial 0: complete" in terminal.text


def test_no_color_is_a_screen_without_colours(tuner, tmp_path):
    file = write_light_study(tmp_path, seconds=0.01, params="{epochs: 150}")
    terminal = Terminal(tuner, "run", file, "--workers", 2, NO_COLOR="1")
    assert terminal.finish() == 0
    assert ENTER in terminal.text
    assert "\x1b[32m" not in terminal.text


def test_the_watch_ends_with_ctrl_c_and_the_study_goes_on(tuner, tmp_path):
    file = write_light_study(tmp_path, seconds=0.02, **LONG)
    run = tuner.start("run", file, "--workers", 2, **LIGHT)
    wait_until(lambda: tuner.look("status", "plain", code=None).code == 0, "the study is there")
    terminal = Terminal(tuner, "status", "plain", "--watch")
    wait_until(lambda: "/3000" in terminal.text, "devices are on the screen")
    os.killpg(terminal.process.pid, signal.SIGINT)
    assert terminal.finish() == 0
    assert "plain: running" in terminal.text.rpartition(LEAVE)[2]
    assert run.poll() is None
    tuner.stop(run, signal.SIGINT)


def test_a_closed_terminal_releases_the_trials(tuner, tmp_path):
    """The kernel sends SIGHUP, and nothing can be printed any more."""
    file = write_light_study(tmp_path, seconds=0.02, **LONG)
    terminal = Terminal(tuner, "run", file, "--workers", 2)
    wait_until(lambda: "/3000" in terminal.text, "devices are on the screen")
    assert terminal.close() == 143
    status = tuner.look("status", "plain", "--json").json
    assert status["counts"]["RELEASED"] == 2
    assert not status["active"]
