"""`tuner drain` on the real SQL: which machine is meant, what agents learn, what is recorded."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.integration.stores import TELEMETRY, StoreAgent, StoredStudy
from tuner.cli.text.fleet import render_fleet
from tuner.dashboard.rendering import render
from tuner.dashboard.study_view import build_view
from tuner.errors import NeedsConsent, NotFound, UsageError
from tuner.results.board import BoardReader
from tuner.results.status import find_status
from tuner.results.summary import load_summary
from tuner.storage.control.drains import Drains

NewStudy = Callable[..., StoredStudy]
WHO = "me@box"


def drains(study: StoredStudy) -> Drains:
    return Drains(study.database, study.study_id)


def on_host(agent: StoreAgent, host: str, devices: str = "{cpu:0,cpu:1}") -> StoreAgent:
    agent.study.query(
        "update tuner.agent set host = %s, devices = %s where agent_id = %s",
        host,
        devices,
        agent.id,
    )
    return agent


def learned(agent: StoreAgent) -> list[str]:
    return [drain.what for drain in agent.store.beat(TELEMETRY).drains]


def two(study: StoredStudy) -> tuple[StoreAgent, StoreAgent]:
    return on_host(study.agent(), "node1"), on_host(study.agent(), "node2")


def test_agents_of_a_drained_machine_learn_it_also_after_a_restart(study: StoredStudy) -> None:
    one, other = two(study)
    drained = drains(study).drain("node1", None, WHO, "service")
    assert (drained.was_so, drained.n_agents, drained.n_others) == (False, 1, 1)
    assert (learned(one), learned(other)) == (["node1"], [])
    one.store.leave(TELEMETRY)
    again = on_host(study.agent(), "node1")
    assert learned(again) == ["node1"], "its heartbeats come before its first claim"
    assert drains(study).drain("node1", None, WHO).was_so

    lifted = drains(study).undrain("node1", None, "you@box")
    assert [drain.what for drain in lifted.drains] == ["node1"]
    assert learned(again) == []
    details = study.query(
        "select kind, detail from tuner.event where kind ~ 'drain' order by event_id"
    )
    role = drained.role
    assert details == [
        ("drain", f"node1: drained by me@box: service (role {role})"),
        ("undrain", f"node1: undrained by you@box (role {role})"),
    ]


def test_a_drain_of_one_device_keeps_the_machine_at_work(study: StoredStudy) -> None:
    one = on_host(study.agent(), "node1")
    drained = drains(study).drain("node1", "cpu:1", WHO)
    assert (learned(one), drained.n_others) == (["node1 cpu:1"], 0)
    with pytest.raises(NeedsConsent, match="no other machine works on study 'searched'"):
        drains(study).drain("node1", "cpu:0", WHO)
    assert learned(one) == ["node1 cpu:1"], "nothing was written"
    assert drains(study).drain("node1", "cpu:0", WHO, is_sure=True).n_others == 0
    with pytest.raises(NotFound, match=r"of node1 cpu:9, only of node1 cpu:1, node1 cpu:0"):
        drains(study).undrain("node1", "cpu:9", WHO)
    assert len(drains(study).undrain("node1", None, WHO).drains) == 2


def test_the_last_machine_needs_consent(study: StoredStudy) -> None:
    two(study)
    drains(study).drain("node1", None, WHO)
    with pytest.raises(NeedsConsent):
        drains(study).drain("node2", None, WHO)
    study.query("update tuner.agent set seen_at = now() - interval '1 hour'")
    assert drains(study).drain("node2", None, WHO).n_agents == 0, "no agent is there to stop"


def test_names_that_fit_no_machine_or_several_are_refused(study: StoredStudy) -> None:
    with pytest.raises(NotFound, match="no machine 'node1'; no machine has worked on it yet"):
        drains(study).drain("node1", None, WHO)
    one, other = two(study)
    with pytest.raises(NotFound, match="no machine 'node3'; its machines are node1, node2"):
        drains(study).drain("node3", None, WHO)
    with pytest.raises(NotFound, match="node1 has no device 'gpu:0'; its devices are cpu:0, cpu:1"):
        drains(study).drain("node1", "gpu:0", WHO)
    with pytest.raises(NotFound, match="node1 is not drained"):
        drains(study).undrain("node1", None, WHO)

    on_host(one, "node.a")
    on_host(other, "node.b")
    with pytest.raises(UsageError, match=r"'node' names several machines.*node\.a.*node\.b"):
        drains(study).drain("node", None, WHO)
    on_host(other, "node.a")
    with pytest.raises(UsageError, match=r"name one by its agent instead: \w{8} \(node\.a, pid "):
        drains(study).drain("node.a", None, WHO)
    drained = drains(study).drain(other.id.hex[:8], None, WHO)
    assert [drain.host for drain in drained.drains] == ["node.a"]
    assert (learned(one), learned(other)) == ([], ["node.a"])
    drains(study).undrain("node.a", None, WHO)


def test_all_studies_are_drained_at_once_and_later_ones_too(new_study: NewStudy) -> None:
    first = new_study(name="first")
    one = on_host(first.agent(), "node1")
    whole = Drains(first.database, None)
    whole.drain("node1", None, WHO, is_sure=True)
    second = new_study(name="second")
    late = on_host(second.agent(), "node1")
    assert learned(one) == learned(late) == ["node1"]
    with pytest.raises(NotFound, match="only of node1 for all studies"):
        drains(first).undrain("node1", None, WHO)
    (shown,) = load_summary(first.database, "first").drains
    assert (shown.is_for_all_studies, shown.by) == (True, WHO)
    whole.undrain("node1", None, WHO)
    assert learned(one) == learned(late) == []
    assert find_status(load_summary(first.database, "first")).alerts == []


def test_the_status_and_the_page_show_who_drained_what(study: StoredStudy) -> None:
    one, _ = two(study)
    drains(study).drain("node1", "cpu:1", WHO, "<b>service</b>")
    screen = {"state": "working", "blocked": {"cpu:1": "drained by me@box"}}
    one.store.beat(replace(TELEMETRY, screen=json.dumps(screen)))
    text = render_fleet(load_summary(study.database, "searched"))
    assert "\n  node1 cpu:1  by me@box, role tuner, since 20" in text
    assert text.endswith("(<b>service</b>); tuner undrain searched node1 --device cpu:1")

    board = BoardReader(name="searched").read(study.database)
    view = build_view(board)
    assert {row.device: row.state for row in view.devices if row.host == "node1"} == {
        "cpu:0": "idle",
        "cpu:1": "drained",
    }
    html = render("parts/headline.html", view=view, board=board, name="searched")
    assert "drained: node1 cpu:1 (drained by me@box: &lt;b&gt;service&lt;/b&gt;)" in html
    assert [event.kind for event in board.events] == ["drain"]
