"""The tests are tested: each invariant holds, and notices when its SQL is broken."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.integration import invariants
from tests.integration.stores import StoredStudy
from tuner.errors import DatabaseError
from tuner.storage.queries import load_queries


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A broken variant of one named query, and the invariant that must notice it."""

    name: str
    query: tuple[str, str]
    old: str
    new: str
    noticed_by: Callable[[StoredStudy], None]


MUTANTS = [
    Mutant(
        name="report without a fence",
        query=("report", "report"),
        old="    for share of l\n), reported",
        new="), reported",
        noticed_by=invariants.a_report_waits_for_a_takeover_and_is_refused,
    ),
    Mutant(
        name="end without a fence",
        query=("end", "fence_ends"),
        old="for update of l",
        new="",
        noticed_by=invariants.an_end_waits_for_a_takeover_and_is_refused,
    ),
    Mutant(
        name="end that forgets what is done",
        query=("end", "fence_ends"),
        old="l.state in ('held', 'done')",
        new="l.state = 'held'",
        noticed_by=invariants.an_end_whose_answer_was_lost_succeeds_again,
    ),
    Mutant(
        name="end that does what is done again",
        query=("end", "fence_ends"),
        old="l.state = 'held' as is_held",
        new="true as is_held",
        noticed_by=invariants.an_end_whose_answer_was_lost_succeeds_again,
    ),
    Mutant(
        name="end that overwrites a client's result",
        query=("end", "finish"),
        old="e.trial_id and t.state = 'RUNNING'",
        new="e.trial_id",
        noticed_by=invariants.a_clients_result_stands,
    ),
    Mutant(
        name="claim without for key share",
        query=("claim", "lock_numbers"),
        old="for key share",
        new="",
        noticed_by=invariants.a_claim_waits_for_a_client_that_gives_out_a_number,
    ),
    Mutant(
        name="claim without a lock on the budget",
        query=("claim", "lock_budget"),
        old="for no key update",
        new="",
        noticed_by=invariants.two_claims_at_once_do_not_exceed_the_budget,
    ),
    Mutant(
        name="claim that does not adopt",
        query=("claim", "adopt"),
        old="l.state = 'held'",
        new="false",
        noticed_by=invariants.a_lost_answer_strands_no_trial,
    ),
    Mutant(
        name="takeover without the beat",
        query=("claim", "take_over"),
        old="where a.beat = s.beat",
        new="where true",
        noticed_by=invariants.a_beat_since_it_was_seen_forbids_a_takeover,
    ),
    Mutant(
        name="takeover without a lock on the agent",
        query=("claim", "take_over"),
        old=" for share of a skip locked",
        new="",
        noticed_by=invariants.a_beat_that_is_being_written_forbids_a_takeover,
    ),
    Mutant(
        name="takeover that waits for other claimers",
        query=("claim", "take_over"),
        old="for update of l skip locked",
        new="for update of l",
        noticed_by=invariants.a_takeover_passes_by_a_trial_that_somebody_else_is_taking,
    ),
    Mutant(
        name="claim that waits for other claimers",
        query=("claim", "take_free"),
        old="skip locked",
        new="",
        noticed_by=invariants.a_claim_passes_by_a_trial_that_somebody_else_is_taking,
    ),
    Mutant(
        name="claim that waits for clients",
        query=("claim", "take_waiting"),
        old="skip locked",
        new="",
        noticed_by=invariants.an_enqueued_trial_that_a_client_is_taking_is_passed_by,
    ),
    Mutant(
        name="feed that follows what is newest",
        query=("feed", "rungs"),
        old="pg_snapshot_xmin(",
        new="pg_snapshot_xmax(",
        noticed_by=invariants.a_rung_value_that_commits_late_is_fed,
    ),
]


@pytest.mark.parametrize("invariant", invariants.ALL, ids=lambda i: i.__name__)
def test_the_invariant_holds(study: StoredStudy, invariant: Callable[[StoredStudy], None]) -> None:
    invariant(study)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_noticed(
    study: StoredStudy, mutant: Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, name = mutant.query
    statement = load_queries(file)[name]
    assert statement.count(mutant.old) == 1, "the mutant no longer fits the query"
    broken = statement.replace(mutant.old, mutant.new)
    monkeypatch.setitem(load_queries(file), name, broken)
    with pytest.raises((AssertionError, DatabaseError)):
        mutant.noticed_by(study)


def test_every_invariant_has_a_mutant() -> None:
    assert {mutant.noticed_by for mutant in MUTANTS} == set(invariants.ALL)
