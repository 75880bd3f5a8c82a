"""Every front shows the same facts of a study: JSON, text, screen, pages, Python and report."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.conftest import NewStudy
from tests.integration.stores import StoredStudy
from tests.integration.studies_in_states import STUDIES
from tuner.api import Study, load_study
from tuner.cli.screen.frame import Frame, render_screen
from tuner.cli.text.status import render_status
from tuner.cli.text.summary import summary_json, trial_json
from tuner.dashboard.overview import StudyLine, build_line
from tuner.dashboard.rendering import render
from tuner.dashboard.study_view import StudyView, build_view
from tuner.export.report import render_report
from tuner.results.board import Board, BoardReader
from tuner.results.live import load_live
from tuner.results.overview import load_overview
from tuner.results.status import find_status
from tuner.results.summary import StudySummary, load_summary
from tuner.study.durations import render_seconds
from tuner.study.trial import COUNTED_STATES, TRIAL_STATES, TrialState

EXPECTED_STATES = {
    "empty": "idle",
    "running": "running",
    "released": "running",
    "continued": "running",
    "half-finished": "running",
    "paused": "paused",
    "stopping": "stopping",
    "stopped": "stopped",
    "halted": "halted",
    "confirmed": "finished",
    "function without epochs": "running",
}
OLD_WORDS = re.compile(r"stalled|waiting for an agent|handed back|gpu hours|device hours|\bfree\b",
                       re.I)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Fronts:
    """What each front shows of one study."""

    json: Mapping[str, Any]  # tuner status --json
    text: str  # tuner status
    screen: str  # tuner status --watch
    board: Board
    view: StudyView
    page: str  # the headline of the study's page, without tags
    glance: StudySummary  # the page of all studies
    line: StudyLine  # its row there
    api: Study
    report: str  # without tags


@pytest.fixture(params=STUDIES, ids=lambda name: name.replace(" ", "-"))
def state(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def study(new_study: NewStudy, state: str) -> StoredStudy:
    return STUDIES[state](new_study)


@pytest.fixture(scope="module")
def shown() -> dict[str, Fronts]:
    """What was shown of each state: no test changes it, and it takes a while."""
    return {}


@pytest.fixture
def fronts(state: str, shown: dict[str, Fronts], request: pytest.FixtureRequest) -> Fronts:
    if state not in shown:
        shown[state] = _show(request.getfixturevalue("study"))
    return shown[state]


def _show(study: StoredStudy) -> Fronts:
    """Show a study at one moment: on a busy machine its agents may fall silent meanwhile."""
    for _ in range(10):
        study.query(
            "update tuner.agent set seen_at = now() where seen_at > now() - interval '30 minutes'"
        )
        fronts = _show_once(study)
        last = load_summary(study.database, study.spec.name)
        shown = (fronts.board.summary, fronts.glance, fronts.api.summary, last)
        if all(_standing(summary) == _standing(last) for summary in shown):
            return fronts
    raise AssertionError("the state changed each time")


def _standing(summary: StudySummary) -> tuple[object, ...]:
    """The facts that change when an agent falls silent."""
    document = summary_json(summary)
    return document["state"], document["active"], document["actions"]


def _show_once(study: StoredStudy) -> Fronts:
    database, name = study.database, study.spec.name
    board = BoardReader(name=name).read(database)
    view = build_view(board)
    url = database.engine.url.render_as_string(hide_password=False)
    summary = load_summary(database, name)
    frame = Frame(width=300, height=60, footer="")
    glances = {glance.summary.study.name: glance for glance in load_overview(database)}
    return Fronts(
        json=summary_json(summary),
        text=render_status(summary),
        screen=render_screen(load_live(database, name), frame).plain,
        board=board,
        view=view,
        page=render("parts/headline.html", view=view, board=board, name=name),
        glance=glances[name].summary,
        line=build_line(glances[name]),
        api=load_study(name, storage=url),
        report=render_report(board).split("<main>")[1].split("</main>")[0],
    )


def _words(page: str) -> str:
    """The text of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def _facts(summary: StudySummary) -> dict[str, Any]:
    """The facts of a summary in the terms of the JSON, and what only other fronts show."""
    document = summary_json(summary)
    for moving in ("agents", "seconds_left", "outlook"):
        del document[moving]
    status = find_status(summary)
    more = {
        "lost": [(agent.host, agent.pid) for agent in status.lost],
        "has_estimate": status.seconds_left is not None,
        "outlook": status.outlook and status.outlook.noise,
        "n_open": summary.n_open,
        "n_final": summary.n_final,
        "n_all": summary.n_all,
        "saved_part": summary.saved_part,
        "noun": summary.steps_noun,
        "standing": summary.standing,
        "expectation": summary.expectation,
    }
    return {**document, **more}


def _same(one: object, other: object, where: str = "") -> None:
    """Equal, but for the rounding of floats in columns."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            _same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        assert len(one) == len(other), where
        for place, pair in enumerate(zip(one, other, strict=True)):
            _same(*pair, f"{where}[{place}]")
    elif isinstance(one, float) and isinstance(other, float):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-6), where
    else:
        assert one == other, where


def test_all_fronts_have_the_same_facts(fronts: Fronts, state: str) -> None:
    cli = _facts(fronts.api.summary)
    _same({key: fronts.json[key] for key in cli if key in fronts.json},
          {key: cli[key] for key in cli if key in fronts.json})  # fmt: skip
    _same(_facts(fronts.board.summary), cli)
    glance = _facts(fronts.glance)
    # The page of all studies reads neither the rows of best trials, nor failures, nor last values.
    skipped = {"best", "failures", "outlook", "expectation"}
    _same({k: v for k, v in glance.items() if k not in skipped},
          {k: v for k, v in cli.items() if k not in skipped})  # fmt: skip
    assert cli["state"] == EXPECTED_STATES.get(state, "finished")


def test_the_best_trial_and_its_value_are_the_same(fronts: Fronts) -> None:
    best, line = fronts.json["best"], fronts.line
    if best is None:
        assert (fronts.view.best, fronts.api.summary.best, line.best_number) == (None,) * 3
        return
    assert fronts.view.best is not None
    _same(trial_json(fronts.view.best), best)
    _same(trial_json(fronts.api.best), best)
    assert (line.best_number, line.best) == (best["number"], best["value"])
    assert f"trial {best['number']}" in _words(fronts.page)
    assert f"trial {best['number']}" in _words(fronts.report)
    assert f"best trial {best['number']}" in fronts.text


def test_the_state_is_one_word_everywhere(fronts: Fronts) -> None:
    word, name = fronts.json["state"], fronts.json["name"]
    assert fronts.text.startswith(f"{name}: {word}, ")
    assert fronts.screen.startswith(f"{name}  {word}")
    assert f'class="state state-{word}">{word}<' in fronts.page
    assert fronts.api.status.state == word
    assert f" · {word}" in _words(fronts.report)
    if fronts.json["reason"] is not None:
        for shown in (fronts.text, fronts.screen, _words(fronts.report)):
            assert f"({fronts.json['reason']})" in shown


def test_trials_are_counted_by_the_same_words(fronts: Fronts) -> None:
    page, report = _words(fronts.page), _words(fronts.report)
    for state in COUNTED_STATES:
        n, word = fronts.json["counts"][state], state.word
        if not n:
            continue
        assert re.search(rf"^  {word} +{n} ", fronts.text, re.M), word
        assert f"{n} {word}   " in fronts.screen
        assert f" {n} {word}" in page
        noun = fronts.board.summary.steps_noun
        assert f"{word} {n} {fronts.json['steps'][state]} {noun}" in report
    n_all = sum(fronts.json["counts"][state] for state in COUNTED_STATES)
    assert f"trials {n_all} " in page
    assert f"{n_all} trials" in report


def test_limits_have_one_use_everywhere(fronts: Fronts) -> None:
    budget = {limit["limit"]: limit for limit in fronts.json["budget"]}
    limits = {key: limit for key, limit in fronts.json["limits"].items() if limit is not None}
    assert {key: limit["of"] for key, limit in budget.items() if key != "draws"} == limits
    for key in limits.keys() - {"target"}:
        assert budget[key]["used"] == fronts.json["used"][key]
    assert len(fronts.view.limits) == len(budget) > 0
    for limit in fronts.json["budget"]:
        render_amount = _renderer(limit["limit"])
        used, whole = render_amount(limit["used"]), render_amount(limit["of"])
        if limit["limit"] == "target":
            assert f"best {used}, wanted <= {whole}" in fronts.screen
            assert f"target: {used} of {whole}" in fronts.page
            continue
        percent = f"{100 * limit['part']:.0f} %"
        if len(fronts.json["budget"]) > 1 or fronts.json["state"] != "finished":
            row = rf"^  {limit['name']} +{re.escape(used)} +of +{re.escape(whole)} +{percent}"
            assert re.search(row, fronts.text, re.M), row
        assert f"{used} of {whole}" in fronts.screen
        bar = f'value="{limit["part"]:.4f}" aria-label="{limit["name"]}: {used} of {whole}"'
        assert bar in fronts.page


def _renderer(limit: str) -> Any:
    if limit in ("seconds", "device_seconds"):
        return render_seconds
    return (lambda value: f"{value:g}") if limit == "target" else (lambda value: f"{value:,}")


def test_every_trial_has_the_same_state_in_every_list(fronts: Fronts) -> None:
    """RUNNING trials of other programs are counted apart from ours."""
    states = [trial.state for trial in fronts.api.trials]
    for state in TRIAL_STATES:
        n = fronts.json["counts"][state]
        n += fronts.json["counts"][TrialState.ELSEWHERE] if state is TrialState.RUNNING else 0
        assert states.count(state) == n
    assert sum(trial.n_steps for trial in fronts.api.trials) == sum(fronts.json["steps"].values())


def test_no_front_uses_an_old_word(fronts: Fronts) -> None:
    shown = {"text": fronts.text, "screen": fronts.screen, "page": _words(fronts.page),
             "report": _words(fronts.report)}  # fmt: skip
    found = {front: OLD_WORDS.findall(text) for front, text in shown.items()}
    assert {front: words for front, words in found.items() if words} == {}


def test_steps_have_the_noun_of_the_objective(fronts: Fronts, state: str) -> None:
    noun, other = ("steps", "epochs") if state == "function without epochs" else ("epochs", "steps")
    assert fronts.board.summary.steps_noun == noun
    for shown in (fronts.text, fronts.screen, _words(fronts.page)):
        assert other not in shown
