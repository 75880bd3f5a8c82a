"""Guarantee 1: exactly N trials, whoever joins."""

from pathlib import Path

from agents import Fleet, write_study


def test_eight_agents_that_start_at_once_on_an_empty_database_use_up_the_budget_exactly(
    empty_url: str, tmp_path: Path
) -> None:
    from agents import open_fleet

    study = write_study(tmp_path, trials=40, epochs=2)
    with open_fleet(empty_url, tmp_path) as fleet:
        agents = [fleet.start(study) for _ in range(8)]
        assert [agent.wait() for agent in agents] == [0] * 8, agents[0].output
        assert fleet.states() == {"COMPLETE": 40}
        numbers = [number for (number,) in fleet.query("select number from trials order by 1")]
        assert numbers == list(range(40))
        draws = [draw for (draw,) in fleet.query("select draw from tuner.lease order by number")]
        assert sorted(draws) == list(range(40))
        assert fleet.n_reports() == 80
        owners = fleet.query("select count(distinct owner) from tuner.lease")
        assert owners[0][0] >= 2


def test_a_finished_study_takes_no_more_trials(fleet: Fleet, tmp_path: Path) -> None:
    study = write_study(tmp_path, trials=2)
    assert fleet.start(study).wait() == 0
    again = fleet.start(study)
    assert again.wait() == 0
    assert "finished, 2 of 2 trials" in again.output
    assert fleet.states() == {"COMPLETE": 2}
