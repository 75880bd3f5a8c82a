"""What Prometheus reads of studies in the database."""

import json
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.stores import TELEMETRY, StoredStudy, report
from tuner.dashboard.metrics import render_metrics
from tuner.results.overview import load_overview
from tuner.storage.reading.health import measure_round_trip
from tuner.study.lease import Batch
from tuner.study.trial import TrialState

GAUGE = {"used_bytes": 3, "total_bytes": 4, "load": 0.5, "watts": 300.0}
SCREEN = {
    "state": "working",
    "devices": [{"device": "cpu:0", "trials": [1], "seconds": 2.0}],
    "blocked": {"cpu:1": "drained by me@box"},
    "gauges": {"cpu:0": GAUGE},
}


def samples(study: StoredStudy) -> dict[tuple[str, ...], float]:
    """Values by the name of the metric and the values of its labels, sorted by their names."""
    text = render_metrics(load_overview(study.database), measure_round_trip(study.database))
    return {
        (
            sample.name,
            *(value for key, value in sorted(sample.labels.items()) if key != "study"),
        ): value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        for value in [sample.value]
    }


def test_a_running_study_shows_trials_limits_agents_and_devices(study: StoredStudy) -> None:
    agent = study.agent()
    study.query("update tuner.agent set host = 'node1', devices = '{cpu:0,cpu:1}'")
    first, second = agent.claim(2)
    agent.store.report(Batch(reports=[report(first, step, 1 / step) for step in (1, 2, 3)]))
    agent.finish(first, TrialState.COMPLETE, 0.25, last_step=3)
    agent.store.beat(replace(TELEMETRY, screen=json.dumps(SCREEN)))
    found = samples(study)
    assert found["tuner_database_up",] == 1.0
    assert 0 < found["tuner_database_round_trip_seconds",] < 10
    assert (found["tuner_trials", "COMPLETE"], found["tuner_trials", "RUNNING"]) == (1, 1)
    assert found["tuner_best_value", "minimize", "val_loss"] == 0.25
    assert (found["tuner_limit", "trials"], found["tuner_limit_used", "trials"]) == (10, 2)
    assert found["tuner_steps_total",] == 3
    assert found["tuner_device_seconds_total",] == 0.5
    assert (found["tuner_study_state", "running"], found["tuner_study_state", "idle"]) == (1, 0)
    assert (found["tuner_agents", "working"], found["tuner_agents", "lost"]) == (1, 0)
    assert found["tuner_lanes",] == 1
    device = ("cpu:0", "node1", "4711")
    assert found["tuner_device_lanes", *device] == 1
    assert found["tuner_device_load", *device] == 0.5
    assert found["tuner_device_memory_used_bytes", *device] == 3
    assert found["tuner_device_memory_bytes", *device] == 4
    assert found["tuner_device_watts", *device] == 300
    assert found["tuner_device_blocked", "cpu:1", "node1", "4711"] == 1
    assert second.key.number == 1

    study.query("update tuner.agent set seen_at = now() - interval '1 hour'")
    found = samples(study)
    assert (found["tuner_agents", "working"], found["tuner_agents", "lost"]) == (0, 1)
    assert ("tuner_device_lanes", *device) not in found, "what it was is not what it is"


def test_names_from_other_programs_cannot_forge_a_metric(study: StoredStudy) -> None:
    agent = study.agent()
    study.query(
        "update tuner.agent set host = %s", 'x"} 1\ntuner_database_up 0\n# \x1b[31m{host="\\'
    )
    agent.store.beat(TELEMETRY)
    found = samples(study)
    assert found["tuner_database_up",] == 1.0
    (host,) = {key[2] for key in found if key[0] == "tuner_device_lanes"}
    assert host == 'x"} 1\ntuner_database_up 0\n# \ufffd[31m{host="\\'
