"""Guarantee 21: what is exported is what the database holds, whatever it holds."""

import random

import optuna
import pytest
from sqlalchemy import event

from tests.integration.stores import StoredStudy, connect, make_spec
from tuner.cli.commands.best import best_json
from tuner.cli.text.summary import summary_json
from tuner.errors import NoCompleteTrial, NotFound, UsageError
from tuner.export.best_config import Wanted, export_trials
from tuner.export.linked_study import ConfirmPlan, compare_with_search, plan_linked_study
from tuner.results.best import By
from tuner.results.board import BoardReader
from tuner.results.confirmation import load_confirmation
from tuner.results.overview import load_overview
from tuner.results.summary import load_summary
from tuner.search.catalog import build_sampler
from tuner.storage.connections.connection import Database
from tuner.storage.control.commands import Control
from tuner.storage.work.join import join_study
from tuner.study.seeds import derive_seed
from tuner.study.trial import Direction, TrialState

N_STUDIES = 30


@pytest.mark.parametrize("direction", list(Direction))
def test_the_top_trials_equal_brute_force_on_random_studies(
    database: Database, direction: Direction
) -> None:
    rng = random.Random(f"top {direction}")
    sign = 1 if direction is Direction.MINIMIZE else -1
    for nth in range(N_STUDIES):
        study = StoredStudy(database, make_spec(name=f"s{nth}", direction=direction, trials=12))
        agent = study.agent()
        good: list[tuple[float, int]] = []
        held = {}
        for trial in agent.claim(rng.randrange(9)):
            state = rng.choice([TrialState.COMPLETE] * 3 + [TrialState.PRUNED, TrialState.FAIL])
            value = rng.choice([-1.5, 0.0, 0.25, 1e300, -1e-9])
            agent.finish(trial, state=state, value=value, user_attrs={"best_step": 3})
            held[trial.key.number] = trial
            if state is TrialState.COMPLETE:
                good.append((sign * value, trial.key.number))
        wanted = [number for _, number in sorted(good)][:4]
        if not wanted:
            with pytest.raises(NoCompleteTrial):
                export_trials(database, study.spec.name, Wanted(n_top=4))
        else:
            found = export_trials(database, study.spec.name, Wanted(n_top=4))
            assert [each.number for each in found] == wanted
            for each in found:
                trial = held[each.number]
                config = each.config
                assert {n: config.params[n] for n in trial.params} == dict(trial.params)
                assert (config.seed, config.best_epoch) == (trial.seed, 3)
                assert config.data_seed == derive_seed(study.spec.seed, "data")
                assert config.params["epochs"] == 9
                assert config.provenance["trials"]["complete"] == len(good)
                assert (
                    config.provenance["value"]
                    == each.value
                    == sign * sorted(good)[wanted.index(each.number)][0]
                )
        study.close()


def test_what_is_exported_while_the_study_runs_says_so(database: Database) -> None:
    study = StoredStudy(database, make_spec(trials=3))
    agent = study.agent()
    agent.finish(agent.claim_one(), value=0.5)
    (found,) = export_trials(database, "searched", Wanted())
    assert found.is_so_far
    assert found.config.provenance["study_state"] == "best so far: the study continues"
    for trial in agent.claim(2):
        agent.finish(trial, value=0.7)
    (found,) = export_trials(database, "searched", Wanted())
    assert (found.number, found.is_so_far) == (0, False)
    study.close()


def test_unknown_studies_and_trials_have_close_names_or_a_list(database: Database) -> None:
    study = StoredStudy(database, make_spec())
    with pytest.raises(NotFound, match="did you mean 'searched'"):
        export_trials(database, "serched", Wanted())
    with pytest.raises(NotFound, match="no trial 9"):
        export_trials(database, "searched", Wanted(number=9))
    with pytest.raises(NoCompleteTrial):
        export_trials(database, "searched", Wanted())
    agent = study.agent()
    agent.finish(agent.claim_one())
    with pytest.raises(UsageError, match="tuner confirm searched"):
        export_trials(database, "searched", Wanted(by=By.CONFIRMED))
    with pytest.raises(UsageError, match="weights of trial 0 are not kept"):
        export_trials(database, "searched", Wanted(has_weights=True))
    study.close()


def test_a_trial_of_another_program_has_no_seed_to_train_it_with(database: Database) -> None:
    study = StoredStudy(database, make_spec())
    with connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into trials (number, study_id, state) values (0, %s, 'COMPLETE')",
            (study.study_id,),
        )
    with pytest.raises(UsageError, match="was not trained by tuner"):
        export_trials(database, "searched", Wanted(number=0))
    study.close()


def _searched(database: Database, values: list[float]) -> StoredStudy:
    study = StoredStudy(database, make_spec(trials=len(values)))
    agent = study.agent()
    for trial, value in zip(agent.claim(len(values)), values, strict=True):
        agent.finish(trial, value=value)
    return study


def test_a_confirmation_tries_each_of_the_best_under_seeds_of_its_own(database: Database) -> None:
    study = _searched(database, [0.3, 0.1, 0.2, 0.9])
    spec, is_open = plan_linked_study(database, "searched", ConfirmPlan(n_top=3, n_seeds=2))
    assert not is_open
    assert spec.confirms is not None
    assert (spec.confirms.trials, spec.budget.trials) == ((1, 2, 0), 6)
    assert load_confirmation(database, "searched") is None
    linked = StoredStudy(database, spec)
    linked._sampler = build_sampler(spec)
    agents = [linked.agent(), linked.agent()]
    trials = [trial for agent in agents for trial in agent.claim(4)]
    assert len(trials) == 6, "exactly one for each of three under two seeds"
    seeds = {seed for (seed,) in study.query("select seed from tuner.lease")}
    assert len({trial.seed for trial in trials}) == 6
    assert len(seeds) == 10, "none of them is a seed of the search"
    confirmed = {1: [0.8, 0.7], 2: [0.2, 0.3], 0: [0.4]}
    by_params = {str(p): n for n, p in zip(spec.confirms.trials, spec.confirms.params, strict=True)}
    for agent, mine in ((agents[0], trials[:4]), (agents[1], trials[4:])):
        for trial in mine:
            values = confirmed[by_params[str(dict(trial.params))]]
            if values:
                agent.finish(trial, value=values.pop())
            else:
                agent.finish(trial, state=TrialState.FAIL)
    found = load_confirmation(database, "searched")
    assert found == load_confirmation(database, spec.name)
    assert found is not None
    assert [c.trial for c in found.candidates] == [2, 1, 0], "one that failed comes last"
    assert found.candidates[0].values == (0.3, 0.2)
    assert found.candidates[0].mean == pytest.approx(0.25)
    assert found.candidates[2].n_failed == 1
    assert found.is_finished
    (exported,) = export_trials(database, "searched", Wanted(by=By.CONFIRMED))
    assert exported.number == 2
    assert exported.config.provenance["confirmed"]["mean"] == pytest.approx(0.25)
    _all_agree_on(database, 2, By.CONFIRMED)
    assert load_summary(database, "searched", By.VALUE).best.number == 1  # type: ignore[union-attr]
    assert [e.number for e in export_trials(database, "searched", Wanted(by=By.VALUE))] == [1]
    own = load_summary(database, spec.name)
    assert (own.best_by, own.standing) == (By.VALUE, "")
    with pytest.raises(UsageError, match="confirms study 'searched' itself"):
        load_summary(database, spec.name, By.CONFIRMED)
    # A better value that was found later is not confirmed; it was written by another program.
    study.optuna().add_trial(optuna.trial.create_trial(value=0.01))
    _all_agree_on(database, 4, By.VALUE)
    assert load_summary(database, "searched").best.reason == "ended by an Optuna client"  # type: ignore[union-attr]
    assert load_summary(database, "searched", By.CONFIRMED).best.number == 2  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="confirms study 'searched' itself"):
        plan_linked_study(database, spec.name, ConfirmPlan())
    study.close()
    linked.close()


def _all_agree_on(database: Database, number: int, by: By) -> None:
    """Every command, page and file of a study names the same best trial."""
    summary = load_summary(database, "searched")
    board = BoardReader(name="searched").read(database)
    glance = next(g for g in load_overview(database) if g.summary.study.name == "searched")
    assert summary.best is not None
    assert board.summary.best is not None
    named = [summary.best.number, board.summary.best.number, board.best[0], glance.best_number]
    if summary.best.attempt:
        named += [each.number for each in export_trials(database, "searched", Wanted())]
    named.append(best_json(summary)["number"])
    named.append(summary_json(summary)["best"]["number"])
    assert set(named) == {number}
    assert {summary.best_by, board.summary.best_by, glance.summary.best_by} == {by}
    assert glance.best_value == summary.best.value == board.summary.best.value
    assert summary.standing == ("confirmed" if by is By.CONFIRMED else "not confirmed")


def test_a_confirmation_is_read_with_as_many_queries_for_one_trial_as_for_four(
    database: Database,
) -> None:
    study = _searched(database, [0.3, 0.1, 0.2, 0.9])
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    counts = []
    for n_top in (0, 1, 4):
        if n_top:
            plan = ConfirmPlan(n_top=n_top, n_seeds=2, name=f"again-{n_top}")
            spec, _ = plan_linked_study(database, "searched", plan)
            join_study(database, spec, "fingerprint", 2 * n_top)
        asked.clear()
        summary = load_summary(database, "searched")
        confirmation = summary.confirmation
        counts.append(len(asked))
        assert summary.best is not None
        found = confirmation.candidates if confirmation is not None else ()
        assert len(found) == n_top
        assert {c.search_value for c in found} <= {0.1, 0.2, 0.3, 0.9}
    assert counts[1] == counts[2] > counts[0]
    study.close()


def test_no_two_candidates_have_the_same_params(database: Database) -> None:
    study = StoredStudy(database, make_spec(trials=4))
    agent = study.agent()
    first = study.suggest([0])[0]
    for value in (0.3, 0.1, 0.2):
        trial = agent.claim_one(suggest=lambda draws: [first for _ in draws])
        agent.finish(trial, value=value)
    spec, _ = plan_linked_study(database, "searched", ConfirmPlan(n_top=3, n_seeds=2))
    assert spec.confirms is not None
    assert spec.confirms.trials == (1,)
    study.close()


def test_a_study_that_was_made_anew_is_not_the_one_that_was_confirmed(database: Database) -> None:
    study = _searched(database, [0.3, 0.1])
    spec, _ = plan_linked_study(database, "searched", ConfirmPlan(n_top=2, n_seeds=2))
    join_study(database, spec, "fingerprint", 4)
    assert load_confirmation(database, "searched") is not None
    Control(database, study.study_id, study.spec).delete(force=True)
    study.close()
    again = _searched(database, [0.5])
    assert load_confirmation(database, "searched") is None
    old = load_confirmation(database, spec.name)
    assert old is not None
    assert {c.search_value for c in old.candidates} == {None}
    again.close()


def test_other_data_or_code_than_the_searchs_is_said_or_refused(database: Database) -> None:
    from tuner.errors import StudyMismatch
    from tuner.study_file.model import CodePolicy

    study = _searched(database, [0.3, 0.1])
    spec, _ = plan_linked_study(database, "searched", ConfirmPlan(n_top=2, n_seeds=2))
    assert compare_with_search(database, spec, "fingerprint", {}) == []
    with pytest.raises(StudyMismatch, match="confirm nothing"):
        compare_with_search(database, spec, "other", {})
    (note,) = compare_with_search(database, spec, "fingerprint", {"net.py": "f00"})
    assert "net.py" in note
    strict = spec.model_copy(update={"code": CodePolicy.REFUSE})
    with pytest.raises(StudyMismatch, match="code: refuse"):
        compare_with_search(database, strict, "fingerprint", {"net.py": "f00"})
    study.close()
