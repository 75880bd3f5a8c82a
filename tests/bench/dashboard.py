"""How long a study's page takes to all its plots, and what the server weighs; beside
optuna-dashboard on the same database.

    python -m tests.bench.dashboard 200 2000 20000 100000

Fills a database of its own on an embedded server of its own. Each page is opened once in a fresh
browser after a fresh start of the server: nothing is cached anywhere but in Postgres.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.filler import fill
from tuner.storage.opening import open_database
from tuner.storage.schema.migrations import migrate

THEIR_TIMEOUT_SECONDS = 120.0
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]  # fmt: skip


def main() -> None:
    """Fill, open, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[200, 2_000, 20_000, 100_000])
    parser.add_argument("--without-theirs", action="store_true")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    home = Path(tempfile.mkdtemp(prefix="tuner-bench-"))
    home.chmod(0o711)
    os.environ["TUNER_HOME"] = str(home)
    try:
        with open_database(None) as database, sync_playwright() as playwright:
            migrate(database)
            ids = {size: fill(database, f"filled-{size}", size) for size in options.sizes}
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            print("trials   server            all plots (s)   page again (s)   server RSS (MB)")
            for size in options.sizes:
                print(_row(size, "tuner", *_ours(browser, size)), flush=True)
                if not options.without_theirs:
                    url = database.engine.url.render_as_string(hide_password=False)
                    print(
                        _row(size, "optuna-dashboard", *_theirs(browser, ids[size], url)),
                        flush=True,
                    )
            browser.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _row(size: int, who: str, first: float | None, again: float | None, rss: float) -> str:
    def shown(seconds: float | None) -> str:
        return f"> {THEIR_TIMEOUT_SECONDS:.0f}" if seconds is None else f"{seconds:.2f}"

    return f"{size:>7,}  {who:<16}  {shown(first):>13}   {shown(again):>14}   {rss:>15.0f}"


def _ours(browser: Any, size: int) -> tuple[float, float, float]:
    command = [sys.executable, "-m", "tuner.cli", "dashboard", "--port", "0"]
    with _serving(command) as process:
        assert process.stdout is not None
        url = re.match(r"http\S+", process.stdout.readline().decode())
        assert url is not None
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.goto(url[0])
        root = url[0].split("/?")[0]
        seconds = []
        for _ in range(2):
            began = time.monotonic()
            page.goto(f"{root}/s/filled-{size}", timeout=120_000)
            page.wait_for_selector("#board[data-drawn]", timeout=120_000)
            seconds.append(time.monotonic() - began)
        rss = _rss(process.pid)
        page.context.close()
    return seconds[0], seconds[1], rss


def _theirs(browser: Any, study_id: int, url: str) -> tuple[float | None, float | None, float]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("optuna-dashboard"))
    command = [program, url.replace("%2F", "/"), "--host", "127.0.0.1", "--port", str(port)]
    with _serving(command) as process:
        _wait_for(port)
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        root = f"http://127.0.0.1:{port}/dashboard"
        seconds: list[float | None] = []
        for _ in range(2):
            seconds.append(_open_theirs(page, f"{root}/studies/{study_id}"))
            if seconds[-1] is None:
                seconds.append(None)
                break
        rss = _rss(process.pid)
        page.context.close()
    return seconds[0], seconds[1], rss


def _open_theirs(page: Any, address: str) -> float | None:
    """Until the history's points are drawn."""
    began = time.monotonic()
    try:
        page.goto(address, timeout=THEIR_TIMEOUT_SECONDS * 1000)
        left = THEIR_TIMEOUT_SECONDS - (time.monotonic() - began)
        page.wait_for_selector(
            ".js-plotly-plot .points path, .js-plotly-plot .gl-canvas",
            state="attached",
            timeout=max(1.0, left) * 1000,
        )
    except Exception as error:
        if "Timeout" not in type(error).__name__:
            raise
        return None
    return time.monotonic() - began


@contextmanager
def _serving(command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


def _rss(pid: int) -> float:
    """The most that it has held, in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", text)[0]) / 1024


if __name__ == "__main__":
    main()
