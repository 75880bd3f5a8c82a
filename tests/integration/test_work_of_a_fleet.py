"""The work that `tuner agent` sees: running studies by priority, and what is claimable there."""

from collections.abc import Callable

from tests.integration.stores import StoredStudy, make_spec
from tuner.storage.connections.sessions import Session
from tuner.storage.control.commands import Control
from tuner.storage.reading.fleet import read_work
from tuner.storage.work.join import join_study
from tuner.study.lease import Release
from tuner.study_file.model import Algorithm

NewStudy = Callable[..., StoredStudy]


def work(study: StoredStudy) -> dict[str, int]:
    session = Session(study.database)
    try:
        return {one.name: one.n_claimable for one in read_work(session)}
    finally:
        session.close()


def test_studies_come_by_priority_and_only_while_they_run(new_study: NewStudy) -> None:
    one = new_study(name="one")
    two = new_study(name="two", priority=3)
    new_study(name="three", priority=-1)
    assert list(work(one)) == ["two", "one", "three"]
    control = Control(one.database, one.study_id, one.spec)
    assert control.prioritize(9, "me@box") == 0
    assert control.prioritize(9, "me@box") == 9
    assert list(work(one)) == ["one", "two", "three"]
    notes = one.query("select detail from tuner.event where kind = 'priority'")
    assert notes == [("0 -> 9 by me@box",)]
    joined = join_study(one.database, make_spec(name="two", priority=5), "fingerprint")
    assert [notice.path for notice in joined.notices] == ["priority"]
    assert list(work(one)) == ["one", "two", "three"], "the stored priority stays"
    Control(two.database, two.study_id, two.spec).pause("me@box")
    assert list(work(one)) == ["one", "three"]


def test_what_could_be_claimed_is_counted(new_study: NewStudy) -> None:
    study = new_study(trials=4)
    agent = study.agent()
    assert work(study) == {"searched": 4}
    first = agent.claim(3)[0]
    assert work(study) == {"searched": 1}
    agent.store.end([Release(key=first.key, reason="released")])
    assert work(study) == {"searched": 2}
    study.query("update tuner.agent set seen_at = now() - interval '1 hour'")
    assert work(study) == {"searched": 4}, "those of a silent agent, too"
    study.query("update tuner.study set limit_trials = 3")
    assert work(study) == {"searched": 3}
    study.query("update tuner.study set limit_trials = 4, limit_steps = 0")
    assert work(study) == {"searched": 3}, "nothing new"


def test_the_cells_of_a_grid_are_counted(new_study: NewStudy) -> None:
    from tuner.study_file.params.space import Choice

    space = {"dropout": Choice(choices=(0.1, 0.2, 0.3))}
    study = new_study(trials=100, search_space=space, sampler=Algorithm(name="grid"))
    assert work(study) == {"searched": 3}


def test_a_study_of_another_version_is_seen_and_not_understood(study: StoredStudy) -> None:
    study.query("update tuner.study set spec = '{\"odd\": 1}'")
    session = Session(study.database)
    (only,) = read_work(session)
    session.close()
    assert (only.is_readable, only.needs_study_file) == (False, True)
