"""The files that an attempt ran, if they are not its agent's: recorded once, shown, exported."""

import json
from typing import Any

from tests.integration.conftest import NewStudy
from tests.integration.stores import StoredStudy
from tuner.results.trial_page import load_trial_page
from tuner.storage.reading.shipping import read_origin
from tuner.study.lease import Release

BEGAN = {"train.py": "a" * 64, "nets.py": "b" * 64}
CHANGED = {"train.py": "c" * 64, "nets.py": "b" * 64}


def _began_with(study: StoredStudy, code: dict[str, str]) -> None:
    """The study and the agents so far have these files."""
    for table in ("study", "agent"):
        study.query(f"update tuner.{table} set code = %s returning 1", json.dumps(code))


def _codes(study: StoredStudy) -> list[tuple[Any, ...]]:
    return study.query(
        "select number, attempt, detail::json from tuner.event where kind = 'code' order by 1, 2"
    )


def test_each_attempt_shows_the_files_that_it_ran(new_study: NewStudy) -> None:
    study = new_study()
    first, second = study.agent(), study.agent()
    trial = first.claim_one()
    _began_with(study, BEGAN)
    first.store.note_code(trial.key, CHANGED)
    first.store.note_code(trial.key, CHANGED)  # the answer was lost
    assert _codes(study) == [(0, 1, CHANGED)]
    first.store.end([Release(key=trial.key, reason="released")])
    again = second.claim_one()
    _began_with(study, BEGAN)
    first.store.note_code(trial.key, CHANGED)  # too late: it is another agent's
    first.store.note_code(again.key, CHANGED)
    assert _codes(study) == [(0, 1, CHANGED)]
    page = load_trial_page(study.database, "searched", 0)
    assert [story.other_code for story in page.attempts] == [("train.py",), ()]
    assert [story.how for story in page.attempts] == ["released", "running"]


def test_a_trial_comes_from_the_files_of_its_last_attempt(new_study: NewStudy) -> None:
    study = new_study()
    agent = study.agent()
    changed, other = agent.claim(2)
    _began_with(study, BEGAN)
    agent.store.note_code(changed.key, CHANGED)
    for trial in (changed, other):
        agent.finish(trial)
    with study.database.reading() as connection:
        found = [read_origin(connection, study.study_id, number) for number in (0, 1)]
    assert [origin.code if origin else None for origin in found] == [CHANGED, BEGAN]
