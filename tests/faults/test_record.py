"""Guarantee 19: what was decided and suggested can be derived again from the record."""

from pathlib import Path

import pytest
from agents import Fleet, write_study

from tuner.search.catalog import build_pruner, build_sampler
from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.search.mirror import Mirror
from tuner.search.protocols import ModelSampler
from tuner.space import to_distributions
from tuner.storage.connections.connection import open_database_url, parse_url
from tuner.storage.reading.rows import find_row, read_trials
from tuner.storage.work.store import PostgresStore
from tuner.study.feed import Seen
from tuner.study.report import RungValue
from tuner.study.suggestion import Basis
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import StudySpec

PRUNERS = {
    "asha": "asha",
    "halving": "{asha: {min_resource: 1, reduction_factor: 2}}",  # at other steps than models use
    "median": "{median: {n_startup_trials: 4}}",
    "hyperband": "{hyperband: {min_resource: 1, reduction_factor: 3}}",
}


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        ("rung_gp", "asha"),
        *(
            pytest.param(sampler, pruner, marks=pytest.mark.long)
            for sampler, pruner in (
                ("tpe", "asha"),
                ("tpe", "median"),
                ("rung_tpe", "median"),
                ("mixed", "hyperband"),
                ("rung_gp", "median"),
                ("rung_gp", "halving"),
                ("rung_tpe", "halving"),
            )
        ),
    ],
)
def test_every_suggestion_and_every_decision_of_two_agents_is_derived_again(
    fleet: Fleet, tmp_path: Path, sampler: str, pruner: str
) -> None:
    import optuna

    study = write_study(tmp_path, trials=30, epochs=9, sampler=sampler, pruner=PRUNERS[pruner])
    n_workers = 1 if pruner == "asha" else 2  # the others decide less often
    agents = [fleet.start(study, workers=n_workers) for _ in range(2)]
    # The workers still load torch: a moment later all trials might be given out.
    fleet.wait_for(lambda: fleet.query("select 1 from studies"), "the study")
    stock = optuna.load_study(study_name="faulty", storage=fleet.url)
    stock.enqueue_trial({"learning_rate": 0.002})
    assert [agent.wait() for agent in agents] == [0, 0], agents[0].output + agents[1].output
    database = open_database_url(parse_url(fleet.url))
    try:
        with database.reading() as connection:
            found = find_row(connection, "faulty")
            params = {t.number: t.params for t in read_trials(connection, found.study_id)}
        spec = parse_spec(found.spec)
        store = PostgresStore(database, found.study_id, spec, _nobody())
        mirror = Mirror(to_distributions(spec.search_space), spec.direction)
        changes = store.changes(Seen())
        mirror.update_rungs(changes.rung_values)
        mirror.update(changes.trials)
        store.close()
    finally:
        database.close()
    assert _rederive_suggestions(fleet, spec, mirror, params) >= 15
    assert _rederive_decisions(fleet, spec) >= 30
    (enqueued,) = fleet.query("select number from tuner.lease where draw is null")
    assert params[enqueued[0]]["learning_rate"] == 0.002


def _nobody():  # type: ignore[no-untyped-def]
    from tuner.agent.identity import build_identity

    return build_identity([])


def _rederive_suggestions(
    fleet: Fleet, spec: StudySpec, mirror: Mirror, params: dict[int, object]
) -> int:
    sampler = build_sampler(spec)
    assert isinstance(sampler, ModelSampler)
    rows = fleet.query(
        "select number, seed, place, highest, open_numbers, hidden, open_rungs"
        " from tuner.suggestion"
    )
    for number, seed, place, highest, open_numbers, hidden, open_rungs in rows:
        basis = Basis(
            seed=seed,
            place=place,
            highest=highest,
            open_numbers=open_numbers,
            hidden=hidden,
            open_rungs=open_rungs,
        )
        earlier = mirror.as_of(basis)
        shared = spec.structural_params
        again = sampler.propose(earlier, place + 1, seed, shared=shared)[place]
        assert dict(again.params) == params[number], f"trial {number}"
    return len(rows)


def _rederive_decisions(fleet: Fleet, spec: StudySpec) -> int:
    pruner = build_pruner(spec)
    rows = fleet.query(
        "select d.number, coalesce(l.draw, d.number), d.step, d.action, d.reason, d.seen::text,"
        " d.local, d.local_complete from tuner.decision d join tuner.lease l using (number)"
    )
    for number, place, step, action, reason, seen, local, complete in rows:
        curves = Curves()
        known = fleet.query(
            "select step, number, value, place, is_complete from tuner.rung"
            " where pg_visible_in_snapshot(xid, %s::pg_snapshot)"
            " or (number = any(%s) and not is_complete) or (number = any(%s) and is_complete)",
            seen,
            local,
            complete,
        )
        curves.add(
            [
                RungValue(step=s, number=n, value=v, place=p, is_complete=c)
                for s, n, v, p, c in known
                if c or s <= step
            ]
        )
        values = fleet.query(
            "select step, intermediate_value from trial_intermediate_values"
            " join trials using (trial_id) where number = %s and step <= %s",
            number,
            step,
        )
        history = History(number=number, place=place, values=dict(values), n_steps=spec.n_steps)
        decision = pruner.decide(history, curves)
        assert (decision.action.value, decision.reason) == (action, reason), f"trial {number}"
    return len(rows)
