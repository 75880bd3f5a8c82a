"""The dashboard in a real Chromium: policy, accessibility, phones, keys, changes, hostile text.

Debian's Chromium does: `apt-get install chromium`. Without one these tests are skipped.
"""

import gzip
import html
import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from tests.acceptance.command import LIGHT, Tuner, wait_until, write_study
from tests.acceptance.dashboards import Served, open_dashboard
from tests.bench.filler import fill
from tuner.storage.connections.connection import open_database_url

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.timeout(240),
]
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update",
         "--disable-dev-shm-usage")  # fmt: skip
AXE = Path(__file__).parents[1] / "assets" / "axe.min.js.gz"
EVIL = '<b>x</b><script>window.hacked=1</script><img src=x onerror="window.hacked=1">&lt;b&gt;'
PATHS = ("/", "/s/filled", "/s/filled/trials?where=value<1&sort=value", "/s/filled/t/7",
         "/s/filled/t/3", "/s/filled/analysis", "/s/filled/analysis?plot=contour",
         "/s/filled/analysis?plot=parallel", "/s/nothing")  # fmt: skip
EVIL_PATHS = ("/s/hostile", "/s/hostile/trials", "/s/hostile/trials?state=fail", "/s/hostile/t/0",
              "/s/hostile/t/1", "/s/hostile/analysis", "/s/hostile/analysis?plot=parallel",
              "/s/hostile/analysis?plot=rank")  # fmt: skip
MOMENT = 60_000  # milliseconds: the machine may be busy


@pytest.fixture(scope="module")
def served(finished: Tuner) -> Iterator[Served]:
    """A dashboard over "plain", a filled study, and one whose every text is hostile."""
    url = finished.environment["TUNER_STORAGE"]
    database = open_database_url(make_url(url))
    fill(database, "filled", 300)
    hostile = fill(database, "hostile", 60)
    database.close()
    _poison(url, hostile)
    with open_dashboard(finished) as served:
        yield served


def _poison(url: str, study_id: int) -> None:
    """Script in names of params, choices, reasons, logs, attributes, hosts, metrics and events."""
    query = make_url(url).query
    connection = psycopg2.connect(host=query["host"], user="tuner", dbname=make_url(url).database)
    choices = json.dumps(
        {"name": "CategoricalDistribution", "attributes": {"choices": [EVIL, "b", "c", "d"]}}
    )
    with connection, connection.cursor() as cursor:
        for statement in (
            "update trial_params p set param_name = %(evil)s || param_name from trials t "
            "where t.trial_id = p.trial_id and t.study_id = %(study)s and param_name <> 'dropout'",
            "update trial_params p set distribution_json = %(choices)s from trials t where "
            "t.trial_id = p.trial_id and t.study_id = %(study)s and param_name like '%%batch_size'",
            "update tuner.lease set reason = %(evil)s, device = 'gpu:0' where study_id = %(study)s",
            "update tuner.agent set host = %(evil)s where study_id = %(study)s",
            "update trials set state = 'FAIL' where study_id = %(study)s and number in (0, 5)",
            "insert into tuner.log (study_id, number, attempt, message, traceback, tail) "
            "values (%(study)s, 0, 1, %(evil)s, %(evil)s, %(evil)s)",
            "insert into trial_user_attributes (trial_id, key, value_json) select trial_id, "
            "%(evil)s, to_json(%(evil)s::text)::text from trials where study_id = %(study)s",
            "insert into tuner.metric (study_id, number, step, name, value) "
            "values (%(study)s, 1, 1, %(evil)s, 1)",
            "insert into tuner.event (study_id, number, attempt, kind, detail) "
            "values (%(study)s, 1, 1, 'dashboard', %(evil)s)",
            "insert into tuner.decision (study_id, number, attempt, step, action, reason, seen, "
            "local) values (%(study)s, 1, 1, 1, 'go_on', %(evil)s, pg_current_snapshot(), '{}')",
            "update tuner.study set metric = %(evil)s, desired_reason = %(evil)s, "
            "desired = 'stopping' where study_id = %(study)s",
        ):
            cursor.execute(statement, {"evil": EVIL, "study": study_id, "choices": choices})
    connection.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Looker:
    """A page that notes what goes wrong on it."""

    def __init__(self, page: Any, root: str) -> None:
        self.page, self.root = page, root
        self.troubles: list[str] = []
        self.strays: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", self._asked)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and " 404 " not in message.text:
            self.troubles.append(message.text)

    def _asked(self, request: Any) -> None:
        is_own = urlsplit(request.url).netloc == urlsplit(self.root).netloc
        if not is_own and not request.url.startswith(("data:", "blob:")):
            self.strays.append(request.url)

    def go(self, path: str) -> None:
        """There, with its plots drawn."""
        self.page.goto(self.root + path, timeout=MOMENT)
        if self.page.query_selector("#board"):
            self.page.wait_for_selector("#board[data-drawn]", timeout=MOMENT)
        if self.page.query_selector(".plot[data-src]"):
            self.page.wait_for_selector(".plot[data-drawn]", timeout=MOMENT)

    def wait(self, script: str) -> None:
        """Until it is true. (`wait_for_function` would evaluate text, which the policy refuses.)"""
        wait_until(lambda: self.page.evaluate(script), script)

    def ask(self, script: str) -> Any:
        """The value of a script on the page."""
        return self.page.evaluate(script)


@contextmanager
def looking(browser: Any, served: Served, **how: Any) -> Iterator[Looker]:
    """A context of its own, logged in."""
    given = {"viewport": {"width": 1440, "height": 900}, **how}
    context = browser.new_context(**given)
    name, _, value = served.cookie.partition("=")
    context.add_cookies(
        [{"name": name, "value": value, "url": served.root, "httpOnly": True, "sameSite": "Strict"}]
    )
    page = context.new_page()
    page.set_default_timeout(MOMENT)
    yield Looker(page, served.root)
    context.close()


def test_every_page_is_quiet_keeps_to_itself_and_is_accessible(browser, served):
    axe = gzip.decompress(AXE.read_bytes()).decode()
    for scheme, paths in (("light", PATHS), ("dark", PATHS[1:4])):
        # Axe is not the page's: it is let past the policy, whose complaints are heard below.
        with looking(browser, served, color_scheme=scheme, bypass_csp=True) as looker:
            for path in paths:
                looker.go(path)
                looker.ask(axe)
                found = looker.ask("axe.run(document, {resultTypes: ['violations']})")
                told = [
                    (v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found["violations"]
                ]
                assert told == [], (path, scheme)
    with looking(browser, served) as looker:
        for path in (*PATHS, *EVIL_PATHS):
            looker.go(path)
            assert looker.troubles == [], path
        assert looker.strays == []


def test_a_study_fits_one_screen_and_every_page_a_phone(browser, served):
    with looking(browser, served) as looker:
        looker.go("/s/filled")
        for side in ("Width", "Height"):
            assert looker.ask(f"document.documentElement.scroll{side} <= inner{side}")
        assert looker.page.locator(".js-plotly-plot").count() == 6
    with looking(browser, served, viewport={"width": 390, "height": 844}) as looker:
        for path in (*PATHS, *EVIL_PATHS[:5]):
            looker.go(path)
            assert looker.ask("document.documentElement.scrollWidth") <= 390, path


PLOTS = "[...document.querySelectorAll('.js-plotly-plot')]"
WIDTHS = f"{PLOTS}.map(p => p.querySelector('.main-svg').getBoundingClientRect().width)"
DARK_INKS = {"rgb(21, 24, 29)", "rgb(89, 97, 108)", ""}
FITTING = f"{PLOTS}.every(p => p.clientWidth == p.querySelector('.main-svg').clientWidth)"


def test_on_paper_pages_are_light_narrow_and_their_plots_fit_and_then_all_is_as_before(
    browser, served
):
    ground = "getComputedStyle(document.body).backgroundColor"
    buttons = "[...document.querySelectorAll('button')].some(b => b.checkVisibility())"
    with looking(browser, served, color_scheme="dark", reduced_motion="reduce") as looker:
        for path in ("/", "/s/filled", "/s/filled/trials", "/s/filled/t/7", "/s/filled/analysis"):
            looker.go(path)
            looker.wait(FITTING)
            before, dark = looker.ask(WIDTHS), looker.ask(ground)
            assert looker.ask("document.getAnimations().length") == 0, path
            if before:  # what a browser tells the page, and prints as soon as it returns
                printed = f"window.dispatchEvent(new Event('beforeprint')), {FITTING}"
                assert looker.ask(f"({printed})"), path
                inks = (
                    f"{PLOTS}.flatMap(p => [...p.querySelectorAll('text')].map(t => t.style.fill))"
                )
                assert set(looker.ask(inks)) <= DARK_INKS, path
            else:
                looker.page.emulate_media(media="print")
            assert looker.ask("getComputedStyle(document.body).color") == "rgb(21, 24, 29)", path
            assert looker.ask("document.body.clientWidth") == 700, path
            assert looker.ask(ground) == "rgb(255, 255, 255)", path
            assert not looker.ask(buttons), path
            assert all(width <= 700 for width in looker.ask(WIDTHS)), path
            looker.ask("window.dispatchEvent(new Event('afterprint'))")
            looker.page.emulate_media(media="screen")
            looker.wait(FITTING)
            looker.wait(
                f"JSON.stringify({WIDTHS}) == '{json.dumps(before, separators=(',', ':'))}'"
            )
            assert looker.ask(ground) == dark != "rgb(255, 255, 255)", path
            assert looker.troubles == [], path


def test_hostile_text_stays_text_everywhere(browser, served, tmp_path, finished):
    with looking(browser, served, bypass_csp=True) as looker:  # the policy is the second wall
        for path in EVIL_PATHS:
            looker.go(path)
            assert looker.ask("window.hacked") is None, path
            own = looker.ask("[...document.querySelectorAll('script')].every(s => s.src)")
            assert own, path
            assert looker.ask("document.querySelectorAll('img').length") == 0, path
        looker.go("/s/hostile/t/0")
        assert EVIL in looker.page.locator("pre").first.inner_text()
        looker.go("/s/hostile")
        shown = looker.ask("document.getElementById('fig-importance').textContent")
        assert "<b>x</b>" in shown
        assert looker.ask("document.querySelectorAll('.plot b, .plot script').length") == 0
        looker.go("/s/hostile/analysis")
        assert "<b>x</b>" in looker.ask("document.getElementById('fig-analysis').textContent")
    report = tmp_path / "hostile.html"
    finished("report", "hostile", "-o", report)
    with looking(browser, served, bypass_csp=True) as looker:
        looker.page.goto(report.as_uri())
        looker.page.wait_for_selector("body[data-drawn]")
        assert looker.ask("window.hacked") is None
        assert looker.ask("document.querySelectorAll('img').length") == 0


def test_filters_survive_back_and_forward(browser, served):
    with looking(browser, served) as looker:
        page = looker.page
        looker.go("/s/filled/trials")
        everything = page.locator("h1").inner_text()
        page.fill("#filter", "learning_rate<0.01, value<0.5")
        page.select_option("select[name=state]", "complete")
        page.click("form button[type=submit]")
        page.wait_for_url("**/trials?where=*")
        filtered, url = page.locator("h1").inner_text(), page.url
        assert filtered != everything
        page.click("th a:has-text('val_loss')")
        page.wait_for_url("**sort=value*")
        assert page.input_value("#filter") == "learning_rate<0.01, value<0.5"
        page.click("tbody th a >> nth=0")
        page.wait_for_url("**/t/*")
        page.go_back()
        page.wait_for_url("**sort=value*")
        page.go_back()
        page.wait_for_url(url)
        assert page.locator("h1").inner_text() == filtered
        assert page.input_value("#filter") == "learning_rate<0.01, value<0.5"
        assert page.input_value("select[name=state]") == "complete"
        page.go_forward()
        page.wait_for_url("**sort=value*")


RANGE = "document.getElementById('fig-history').layout.xaxis.range"


def test_a_zoom_survives_new_figures_and_is_in_the_address(browser, served):
    with looking(browser, served) as looker:
        page = looker.page
        looker.go("/s/filled")
        whole = looker.ask(RANGE)
        box = page.locator("#fig-history .nsewdrag[data-subplot=xy]").bounding_box()
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
        page.mouse.up()
        looker.wait("location.hash.includes('history.xaxis=')")
        chosen = looker.ask(RANGE)
        assert whole[0] < chosen[0] < chosen[1] < whole[1]
        # Another trial moves the axis of the whole history.
        looker.ask(
            "(() => { const plot = document.getElementById('fig-history');"
            "return fetch('/s/filled/figures?names=history').then((a) => a.json())"
            ".then(({ figures }) => { const figure = figures.history;"
            "figure.layout.xaxis = { ...figure.layout.xaxis, range: [-50, 150] };"
            "return window.tunerFigures.draw(plot, figure); }).then(() => null); })()"
        )
        assert looker.ask(RANGE) == chosen
        linked = page.url
        page.goto("about:blank")
        page.goto(linked)
        page.wait_for_selector("#board[data-drawn]")
        assert looker.ask(RANGE) == pytest.approx(chosen)
        page.dblclick("#fig-history .nsewdrag[data-subplot=xy]")
        looker.wait("!location.hash")
        looker.wait(f"{RANGE}[0] === {whole[0]} && {RANGE}[1] === {whole[1]}")
        assert looker.troubles == []


def test_keys_lead_everywhere(browser, served):
    with looking(browser, served) as looker:
        page = looker.page
        looker.go("/s/filled")
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()
        page.keyboard.press("Escape")
        if page.query_selector("#actions"):
            page.click("#actions summary")
            page.keyboard.press("Escape")
            assert page.query_selector("#actions[open]") is None
        page.keyboard.press("/")
        page.wait_for_url("**/trials?focus=filter")
        looker.wait("document.activeElement.id === 'filter'")
        page.keyboard.type("jkb")
        assert page.input_value("#filter") == "jkb"
        looker.go("/s/filled/trials")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url("**/t/1")
        page.keyboard.press("j")
        page.wait_for_url("**/t/2")
        page.keyboard.press("b")
        page.wait_for_selector(".badge")
        page.keyboard.press("o")
        page.wait_for_url("**/s/filled")
        page.keyboard.press("g")
        page.wait_for_url(f"{served.root}/")


def test_a_report_asks_nobody_for_anything(browser, served, finished, tmp_path):
    report = tmp_path / "report.html"
    finished("report", "filled", "-o", report)
    with looking(browser, served, offline=True) as looker:
        looker.page.goto(report.as_uri())
        looker.page.wait_for_selector("body[data-drawn]")
        assert looker.page.locator(".js-plotly-plot").count() == 6
        assert looker.troubles == []
        assert [url for url in looker.strays if not url.startswith("file:")] == []
        assert html.escape("val_loss") in looker.page.content()


def test_new_trials_are_seen_and_a_restart_of_the_server_is_survived(browser, tuner, tmp_path):
    """The page follows a run by itself, and does so again once the server is back."""
    (tmp_path / "train.py").write_text(
        "import time\n"
        "def train(trial):\n"
        "    for step in range(1, 4):\n"
        "        trial.report(val_loss=trial.params['learning_rate'] / step, step=step)\n"
        "        time.sleep(0.3)\n"
    )
    file = write_study(tmp_path, objective="train.py:train", params="{epochs: 3}",
                       budget="{trials: 400}")  # fmt: skip
    run = tuner.start("run", file, "--workers", 1, **LIGHT)
    wait_until(lambda: _n_trials(tuner) > 1, "trials end")
    with open_dashboard(tuner, "plain") as first:
        port = first.port
        with looking(browser, first) as looker:
            page = looker.page
            looker.go("/s/plain")
            page.wait_for_selector("#live.on")
            for _ in range(2):
                _wait_for_news(looker)
            tuner.stop(first.process, signal.SIGINT)
            page.wait_for_selector("#live.off")
            with open_dashboard(tuner, "plain", port=port):
                page.wait_for_selector("#live.on")
                _wait_for_news(looker)
                looker.wait("document.getElementById('fig-history').data.length > 0")
            assert [t for t in looker.troubles if "ERR_" not in t] == []
    tuner.stop(run, signal.SIGTERM)


# Notes when, by the page's own clock, it shows each number of trials first.
WATCH_TRIALS = """() => {
  const place = document.getElementById("part-headline");
  const look = () => {
    const shown = place.querySelector(".tile:nth-child(3) strong").textContent.replace(",", "");
    window.seenAt[shown] ??= Date.now() / 1000;
  };
  window.seenAt = {};
  new MutationObserver(look).observe(place, { childList: true, subtree: true });
  look();
}"""


def test_the_first_best_trial_is_announced_and_new_ones_are_visible_within_3_seconds(
    browser, tuner, tmp_path
):
    (tmp_path / "train.py").write_text(
        "import pathlib, time\n"
        "def train(trial):\n"
        f"    while not pathlib.Path({str(tmp_path)!r}, f'go-{{trial.number}}').exists():\n"
        "        time.sleep(0.05)\n"
        "    trial.report(val_loss=0.5, step=1)\n"
    )
    n_trials = 6
    file = write_study(tmp_path, objective="train.py:train", params="{epochs: 1}",
                       budget=f"{{trials: {n_trials}}}", workers="{lanes: 1}")  # fmt: skip
    run = tuner.start("run", file, "--workers", 1, **LIGHT)
    wait_until(
        lambda: tuner.look("trials", "plain", "--json", code=None).code == 0, "the study is made"
    )
    with open_dashboard(tuner, "plain") as served, looking(browser, served) as looker:
        looker.go("/s/plain")
        looker.page.wait_for_selector("#live.on")
        looker.ask(WATCH_TRIALS)
        delays = [_delay_of_next(looker, tuner, tmp_path, 1)]
        looker.wait("document.getElementById('announce').textContent.includes('new best')")
        # Each begins when the page has just looked, so that none is seen by a lucky moment; on a
        # machine that is busy with something else, one of several is what the page can do.
        while min(delays) >= 3 and len(delays) < n_trials - 1:
            delays.append(_delay_of_next(looker, tuner, tmp_path, len(delays) + 1))
        assert min(delays) < 3, delays
    for number in range(n_trials):
        (tmp_path / f"go-{number}").touch()
    tuner.finish(run)


def _delay_of_next(looker: Looker, tuner: Tuner, folder: Path, number: int) -> float:
    """Seconds from a trial's start in the record until the page counts it, on one machine."""
    looker.wait(f"{number} in window.seenAt")  # those before it
    (folder / f"go-{number - 1}").touch()
    looker.wait(f"{number + 1} in window.seenAt")
    seen_at = looker.ask(f"window.seenAt[{number + 1}]")
    trial = tuner.look("trials", "plain", "--where", f"number={number}", "--json").json[0]
    return float(seen_at) - datetime.fromisoformat(trial["started_at"]).timestamp()


def _n_trials(tuner: Tuner) -> int:
    told = tuner.look("trials", "plain", "--json", code=None)
    if told.code:
        return 0
    return sum(trial["state"] == "COMPLETE" for trial in told.json)


def _wait_for_news(looker: Looker) -> None:
    """One more trial than now."""
    count = (
        "Number(document.querySelector('#part-headline .counts b').textContent.replace(',', ''))"
    )
    looker.wait(f"{count} > {looker.ask(count)}")


def test_an_action_is_asked_done_and_seen(browser, own_finished):
    tuner = own_finished
    with (
        open_dashboard(tuner, "plain", "--allow-actions") as served,
        looking(browser, served) as looker,
    ):
        page = looker.page
        looker.go("/s/plain")
        page.click("#actions summary")
        page.click("[data-action=extend]")
        page.fill("#ask input[name=trials]", "lots")
        page.click("#ask-yes")
        looker.wait("document.getElementById('ask-fault').textContent.includes('no amount')")
        page.fill("#ask input[name=trials]", "+7")
        page.click("#ask-yes")
        page.wait_for_selector("#ask", state="hidden")
        looker.wait(
            "document.getElementById('part-activity').textContent.includes('extend trials +7')"
        )
        looker.wait("/2 *\\/ *9/.test(document.getElementById('part-headline').textContent)")
        assert [t for t in looker.troubles if " 400 " not in t] == []
    assert tuner.look("status", "plain", "--json").json["limits"]["trials"] == 9
