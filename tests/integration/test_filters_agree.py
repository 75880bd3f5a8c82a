"""A filter over columns, for pages and `tuner trials --where`, equals one row by row."""

import pytest

from tests.integration.stores import StoredStudy, raised
from tests.trial_tables import filter_rows
from tuner.dashboard.trials_page import usual_names
from tuner.errors import UsageError
from tuner.results.board import Board, BoardReader
from tuner.results.conditions import parse_condition
from tuner.results.filters import Filter, filter_places
from tuner.results.trial_fields import StoredFields
from tuner.results.trial_list import load_trials
from tuner.study.trial import TrialState

CONDITIONS = (
    "host=node1", "host!=node1", "host=null", "device='gpu:1'", "device!='gpu:1'",
    "reason='boom, again'", "reason!=null", "failure=exception", "failure!=exception",
    "retry_of=null", "retry_of>=0", "attrs.loss<0.5", "loss<=0.25", "loss!=0.25", "loss=null",
    "attrs.note='a, b'", "note!=x", "is_odd=true", "is_odd!=true", "is_odd=1",
    "params.epochs=9", "params.epochs>9", "value=null", "value!=null",
    "attempt=1", "state!=null", "n_layers=2", "n_layers!=2", "activation=tanh", "device_seconds>=0",
)  # fmt: skip
SORTS = ("n_layers", "activation", "host", "attrs.loss", "note", "reason", "is_odd", "number")


@pytest.fixture
def filled(study: StoredStudy) -> StoredStudy:
    """Trials of two hosts: with attributes, failed, open, waiting, and another program's."""
    one, other = study.agent(), study.agent()
    for agent, host in ((one, "node1"), (other, "node2")):
        study.query(
            "update tuner.agent set host = %s where agent_id = %s", host, agent.identity.agent_id
        )
        for n in range(3):
            trial = agent.claim_one()
            attrs = {"loss": n / 4, "note": "a, b" if n else "x", "is_odd": n % 2 == 1}
            agent.finish(trial, value=n / 2, user_attrs=attrs, device=f"gpu:{n}", reason="done")
    failed = one.claim_one()
    one.finish(failed, TrialState.FAIL, failure=raised("boom, again"), reason="boom, again")
    other.claim_one()
    foreign = study.optuna().ask()
    foreign.set_user_attr("loss", float("nan"))
    study.optuna().enqueue_trial({"n_layers": 2})
    return study


def _filter(study: StoredStudy, board: Board, wanted: Filter) -> list[int]:
    with study.database.reading() as connection:
        fields = StoredFields(connection=connection, study_id=study.study_id, spec=study.spec)
        places = filter_places(board.table, wanted, fields)
    numbers: list[int] = board.table.numbers[places].tolist()
    return numbers


@pytest.mark.parametrize("sort", SORTS)
def test_a_condition_means_the_same_on_the_page_and_in_the_command(
    filled: StoredStudy, sort: str
) -> None:
    database, name = filled.database, filled.spec.name
    board = BoardReader(name=name).read(database)
    rows = load_trials(database, name, Filter()).trials
    n_found = set()
    for text in CONDITIONS:
        for descending in (False, True):
            wanted = Filter(conditions=[parse_condition(text)], sort=sort, descending=descending)
            expected = filter_rows(rows, wanted, filled.spec.params)
            assert _filter(filled, board, wanted) == expected, (text, descending)
            listed = load_trials(database, name, wanted).trials
            assert [row.number for row in listed] == expected, (text, descending)
        n_found.add(len(expected))
    assert len(n_found) > 4, "the conditions tell trials apart"


def test_a_field_that_no_trial_has_is_a_sentence_with_what_there_is(filled: StoredStudy) -> None:
    board = BoardReader(name=filled.spec.name).read(filled.database)
    for text, words in (
        ("lossy<1", "no field 'lossy'"),
        ("attrs.los<1", "did you mean attrs.loss"),
        ("hots=node1", "did you mean host"),
        ("params.loss<1", "no field 'params.loss'"),
    ):
        with pytest.raises(UsageError, match=words):
            _filter(filled, board, Filter(conditions=[parse_condition(text)]))
    with pytest.raises(UsageError, match="no field"):
        _filter(filled, board, Filter(sort="a\0b"))  # from a URL
    assert {"host", "reason", "epochs", "attrs.loss", "attrs.note"} <= set(usual_names(board))
