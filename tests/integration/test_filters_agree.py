"""The dashboard's filter over columns and `tuner trials --where` over rows say the same."""

import pytest

from tests.integration.stores import StoredStudy, raised
from tuner.errors import UsageError
from tuner.results.board import BoardReader
from tuner.results.column_filters import TableSelection, select_places
from tuner.results.row_filters import Selection, parse_condition, select
from tuner.results.summary import load_trials
from tuner.results.trial_fields import StoredFields, usual_names
from tuner.study.trial import TrialState

CONDITIONS = (
    "host=node1", "host!=node1", "host=null", "device='gpu:1'", "device!='gpu:1'",
    "reason='boom, again'", "reason!=null", "failure=exception", "failure!=exception",
    "retry_of=null", "retry_of>=0", "attrs.loss<0.5", "loss<=0.25", "loss!=0.25", "loss=null",
    "attrs.note='a, b'", "note!=x", "is_odd=true", "is_odd!=true", "is_odd=1",
    "params.epochs=9", "params.epochs>9", "value=null", "value!=null",
    "attempt=1", "state!=null",
)  # fmt: skip
SORTS = ("host", "attrs.loss", "note", "reason", "is_odd", "number")


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


@pytest.mark.parametrize("sort", SORTS)
def test_a_condition_means_the_same_on_the_page_and_in_the_command(
    filled: StoredStudy, sort: str
) -> None:
    board = BoardReader(name=filled.spec.name).read(filled.database)
    _, rows = load_trials(filled.database, filled.spec.name)
    more = StoredFields(database=filled.database, board=board)
    n_found = set()
    for text in CONDITIONS:
        conditions = [parse_condition(text)]
        for descending in (False, True):
            asked = Selection(conditions=conditions, sort=sort, descending=descending)
            wanted = select(rows, filled.spec.params, asked, list(filled.spec.search_space))
            table = TableSelection(conditions=conditions, sort=sort, descending=descending)
            found = board.table.numbers[select_places(board.table, table, more)].tolist()
            assert found == [row.number for row in wanted], (text, descending)
        n_found.add(len(found))
    assert len(n_found) > 4, "the conditions tell trials apart"


def test_a_field_that_no_trial_has_is_a_sentence_with_what_there_is(filled: StoredStudy) -> None:
    board = BoardReader(name=filled.spec.name).read(filled.database)
    more = StoredFields(database=filled.database, board=board)
    for text, words in (
        ("lossy<1", "no field 'lossy'"),
        ("attrs.los<1", "did you mean attrs.loss"),
        ("hots=node1", "did you mean host"),
        ("params.loss<1", "no field 'params.loss'"),
    ):
        with pytest.raises(UsageError, match=words):
            select_places(board.table, TableSelection(conditions=[parse_condition(text)]), more)
    with pytest.raises(UsageError, match="no field"):
        select_places(board.table, TableSelection(sort="a\0b"), more)  # from a URL
    assert {"host", "reason", "epochs", "attrs.loss", "attrs.note"} <= set(usual_names(board))
