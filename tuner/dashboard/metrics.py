"""Metrics for Prometheus, and the answer to health checks."""

from collections import Counter
from collections.abc import Iterator, Sequence

from anyio import to_thread
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tuner.dashboard.serving import dashboard_of
from tuner.dashboard.words import clean
from tuner.errors import DatabaseError
from tuner.results.limits import find_limits
from tuner.results.overview import StudyGlance
from tuner.results.progress import StudyState, is_silent
from tuner.results.summary import StudySummary
from tuner.storage.reading.rows import AgentRow
from tuner.study.trial import COUNTED_STATES

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
AGENT_STATES = ("working", "waiting", "paused", "drained", "stopping", "lost")


async def healthz(request: Request) -> Response:
    """Answer ok, or 503, and nothing else."""
    is_well = await dashboard_of(request).health.look() is not None
    return PlainTextResponse("ok\n" if is_well else "unavailable\n", 200 if is_well else 503)


async def metrics(request: Request) -> Response:
    """Answer with the metrics; of a database that is away only that it is."""
    dashboard = dashboard_of(request)
    round_trip = await dashboard.health.look()
    glances: Sequence[StudyGlance] = ()
    if round_trip is not None:
        try:
            glances = await dashboard.overview.glances()
        except DatabaseError:
            round_trip = None
    text = await to_thread.run_sync(render_metrics, glances, round_trip)
    return Response(text, headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})


def render_metrics(glances: Sequence[StudyGlance], round_trip_seconds: float | None) -> bytes:
    """Render studies in the text format of Prometheus; None: the database does not answer."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Studies(glances, round_trip_seconds))
    return generate_latest(registry)


class _Studies(Collector):
    def __init__(self, glances: Sequence[StudyGlance], round_trip: float | None) -> None:
        self._glances = glances
        self._round_trip = round_trip

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("tuner_database_up", "1 if the database answers.")
        up.add_metric([], float(self._round_trip is not None))
        yield up
        if self._round_trip is None:
            return
        yield GaugeMetricFamily(
            "tuner_database_round_trip_seconds",
            "Time of one statement between the dashboard and the database.",
            value=self._round_trip,
        )
        yield from _studies(self._glances)
        yield from _agents(self._glances)
        yield from _devices(self._glances)


def _studies(glances: Sequence[StudyGlance]) -> Iterator[Metric]:
    state = GaugeMetricFamily("tuner_study_state", "1 for the state.", labels=["study", "state"])
    trials = GaugeMetricFamily("tuner_trials", "Trials by state.", labels=["study", "state"])
    best = GaugeMetricFamily(
        "tuner_best_value",
        "Value of the best trial; missing without one.",
        labels=["study", "metric", "direction"],
    )
    used = GaugeMetricFamily("tuner_limit_used", "Used part of a limit.", labels=["study", "limit"])
    limits = GaugeMetricFamily("tuner_limit", "A limit of the budget.", labels=["study", "limit"])
    steps = CounterMetricFamily("tuner_steps", "Epochs or steps trained.", labels=["study"])
    saved = GaugeMetricFamily(
        "tuner_steps_saved", "Epochs or steps that pruning has saved.", labels=["study"]
    )
    seconds = CounterMetricFamily("tuner_device_seconds", "Device time used.", labels=["study"])
    for glance in glances:
        summary, name = glance.summary, clean(glance.summary.study.name)
        for one in StudyState:
            state.add_metric([name, one.value], float(glance.state is one))
        for counted in COUNTED_STATES:
            trials.add_metric([name, counted.value], summary.n(counted))
        if glance.best_value is not None:
            labels = [name, clean(summary.study.metric), summary.study.direction.value]
            best.add_metric(labels, glance.best_value)
        for limit in find_limits(summary):
            if limit.used is not None:
                used.add_metric([name, limit.key], limit.used)
            limits.add_metric([name, limit.key], limit.limit)
        steps.add_metric([name], summary.used.steps)
        saved.add_metric([name], summary.n_steps_saved)
        seconds.add_metric([name], summary.used.device_seconds)
    yield from (state, trials, best, used, limits, steps, saved, seconds)


def _agents(glances: Sequence[StudyGlance]) -> Iterator[Metric]:
    agents = GaugeMetricFamily("tuner_agents", "Agents by state.", labels=["study", "state"])
    lanes = GaugeMetricFamily("tuner_lanes", "Trials in training.", labels=["study"])
    for glance in glances:
        name = clean(glance.summary.study.name)
        counts = Counter(_state(glance.summary, agent) for agent in _here(glance))
        for state in AGENT_STATES:
            agents.add_metric([name, state], counts[state])
        lanes.add_metric([name], sum(len(agent.trials) for agent in _here(glance)))
    yield from (agents, lanes)


def _here(glance: StudyGlance) -> list[AgentRow]:
    """Return the agents that have not left, the lost ones of a study that has ended excepted."""
    agents = [agent for agent in glance.summary.agents if agent.left_at is None]
    if glance.state in (StudyState.FINISHED, StudyState.STOPPED):
        return [agent for agent in agents if not is_silent(glance.summary, agent)]
    return agents


def _state(summary: StudySummary, agent: AgentRow) -> str:
    if is_silent(summary, agent):
        return "lost"
    state = agent.activity.state
    return state if state in AGENT_STATES else "waiting"


_DEVICE = ["study", "host", "pid", "device"]


def _devices(glances: Sequence[StudyGlance]) -> Iterator[Metric]:
    training = GaugeMetricFamily("tuner_device_lanes", "Trials in training.", labels=_DEVICE)
    blocked = GaugeMetricFamily(
        "tuner_device_blocked", "1 if drained, or used by another agent.", labels=_DEVICE
    )
    load = GaugeMetricFamily(
        "tuner_device_load", "Part of the time in which kernels ran.", labels=_DEVICE
    )
    used = GaugeMetricFamily("tuner_device_memory_used_bytes", "Memory in use.", labels=_DEVICE)
    memory = GaugeMetricFamily("tuner_device_memory_bytes", "Memory.", labels=_DEVICE)
    watts = GaugeMetricFamily("tuner_device_watts", "Power.", labels=_DEVICE)
    for glance in glances:
        for agent in _here(glance):
            if is_silent(glance.summary, agent):
                continue
            trials = {one.device: len(one.trials) for one in agent.activity.devices}
            for device in agent.devices:
                labels = [clean(glance.summary.study.name), clean(agent.host), str(agent.pid)]
                labels.append(clean(device))
                training.add_metric(labels, trials.get(device, 0))
                blocked.add_metric(labels, float(device in agent.activity.blocked))
                gauge = agent.activity.gauges.get(device)
                if gauge is None:
                    continue
                used.add_metric(labels, gauge.used_bytes)
                memory.add_metric(labels, gauge.total_bytes)
                if gauge.load is not None:
                    load.add_metric(labels, gauge.load)
                if gauge.watts is not None:
                    watts.add_metric(labels, gauge.watts)
    yield from (training, blocked, load, used, memory, watts)
