"""A night on which machines, links and the database fail together, and what it left behind."""

import random
import signal
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from agents import AgentProcess, Fleet
from cells import Cells
from networks import Network
from servers import ExternalServer

from tuner.errors import DatabaseAway

LEASE_SECONDS = 3.0
IMMUNE_SECONDS = 5.0  # of one that came back: it must meet what happened meanwhile
MAX_STOPPED_SECONDS = 5 * LEASE_SECONDS
START_SECONDS = 60.0  # at most, until every agent holds something
CONNECTIONS_PER_AGENT = 5  # three, and those of its start and its end

# Only the checker reads these: every change of a lease, and changes that must not happen.
AUDIT = """
create table audit (at timestamptz not null default clock_timestamp(),
                    number int, attempt int, owner uuid, state text);
create function audit() returns trigger language plpgsql as $$ begin
    insert into audit (number, attempt, owner, state)
    values (new.number, new.attempt, new.owner, new.state);
    return null;
end $$;
create trigger audit after insert or update of state, owner, attempt on tuner.lease
for each row execute function audit();
create table audit_final (at timestamptz not null default clock_timestamp(), number int);
create function audit_final() returns trigger language plpgsql as $$ begin
    insert into audit_final (number) values (old.number);
    return null;
end $$;
create trigger audit_final after update on trials for each row
when (old.state in ('COMPLETE', 'PRUNED', 'FAIL')) execute function audit_final();
"""


@dataclass(kw_only=True)
class Machine:
    """One place where an agent runs; it is started again whenever it has ended."""

    index: int
    agent: AgentProcess | None = None
    starts_at: float = 0.0  # when there is none
    stopped_until: float | None = None  # at the latest
    is_to_lose: bool = False  # it stays stopped until it has lost what it holds
    look_at: float = 0.0
    cut_until: float | None = None
    immune_until: float = 0.0
    has_held: bool = False  # its agent a trial: hitting it before would prove nothing
    is_done: bool = False

    def is_target(self, now: float) -> bool:
        """Whether the next fault may hit it."""
        return (
            self.agent is not None
            and self.stopped_until is None
            and self.cut_until is None
            and self.has_held
            and now > self.immune_until
        )


@dataclass(kw_only=True)
class Chaos:
    """The run. `act` until the time is up, then `settle`."""

    seed: int
    seconds: float
    cells: Cells
    fleet: Fleet
    server: ExternalServer
    network: Network
    machines: list[Machine] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    killed: list[tuple[int, float]] = field(default_factory=list)  # pid, wall clock
    most_connections: int = 0

    def run(self) -> None:
        """Faults, then peace until every agent has left."""
        rng = random.Random(self.seed)
        self.fleet.execute(AUDIT)
        self.machines = [Machine(index=index) for index in range(len(self.network.machines))]
        self._begin(rng)
        start = time.monotonic()
        restarts = [start + self.seconds * part for part in (0.25, 0.5, 0.75)]
        modes = ["immediate", "fast", "immediate"]
        cut_at = start + self.seconds * rng.uniform(0.3, 0.6)
        next_at = start + 1
        while not all(machine.is_done for machine in self.machines):
            now = time.monotonic()
            is_peace = now > start + self.seconds
            self._tend(now, rng, is_peace=is_peace)
            targets = [machine for machine in self.machines if machine.is_target(now)]
            if len(targets) == 1:
                targets = []  # somebody must be there to take over what the others lose
            if restarts and now > restarts[0]:
                restarts.pop(0)
                self._restart(modes.pop(0), rng.uniform(0.2, 1.0))
            elif cut_at and now > cut_at and targets:
                cut_at, next_at = 0, now + 2
                self._cut(rng.choice(targets), now)
            elif not is_peace and now > next_at and targets:
                next_at = now + rng.uniform(0.5, 1.5)
                self._hit(rng.choice(targets), now, rng)
            assert now < start + self.seconds + 90, "the study does not end"
            time.sleep(0.05)

    def _begin(self, rng: random.Random) -> None:
        """Start every agent, and wait until each has held a trial."""
        until = time.monotonic() + START_SECONDS
        while not all(machine.has_held for machine in self.machines):
            now = time.monotonic()
            assert now < until, "the agents claim nothing"
            self._tend(now, rng, is_peace=False)
            time.sleep(0.05)

    def _say(self, what: str) -> None:
        self.log.append(f"{time.strftime('%H:%M:%S')} {what}")

    def _tend(self, now: float, rng: random.Random, *, is_peace: bool) -> None:
        """Start, resume and heal what is due."""
        for machine in self.machines:
            agent = machine.agent
            if machine.cut_until and (now > machine.cut_until or is_peace):
                self.network.heal(machine.index)
                machine.cut_until, machine.immune_until = None, now + IMMUNE_SECONDS
                self._say(f"heal {machine.index}")
            if machine.stopped_until and agent and self._is_due(machine, agent, now):
                agent.send(signal.SIGCONT)
                machine.stopped_until, machine.immune_until = None, now + IMMUNE_SECONDS
                self._say(f"resume {machine.index}")
            if agent is not None and (code := agent.process.poll()) is not None:
                machine.agent, machine.starts_at = None, now + rng.uniform(0.3, 1.5)
                machine.is_done = code == 0
                assert code in (0, 143, -signal.SIGKILL) or self._never_held(agent), agent.output
            if machine.agent is None and not machine.is_done and now > machine.starts_at:
                machine.agent, machine.has_held = self._start(machine), False
                machine.look_at = now + 0.5
            if machine.agent and not machine.has_held and now > machine.look_at:
                machine.look_at = now + 0.5
                machine.has_held = self._has_held(machine.agent)

    def _is_due(self, machine: Machine, agent: AgentProcess, now: float) -> bool:
        """Whether to resume it: after a while, or when it has lost what it held."""
        assert machine.stopped_until is not None
        if now > machine.stopped_until:
            return True
        if not machine.is_to_lose or now < machine.look_at:
            return False
        machine.look_at = now + 0.3
        holds = (
            "select 1 from tuner.lease l join tuner.agent a on a.agent_id = l.owner"
            " where l.state = 'held' and a.pid = %s and a.left_at is null"
        )
        return not self.fleet.query(holds, agent.process.pid)

    def _never_held(self, agent: AgentProcess) -> bool:
        """Whether it ended during its start, which needs the database and heeds no signal.

        It may be in the list of agents: a commit whose answer was lost counts.
        """
        return not self._has_held(agent) and agent.process.returncode in (
            DatabaseAway.exit_code,
            128 + signal.SIGTERM,
            -signal.SIGTERM,  # before Python had loaded the program
        )

    def _has_held(self, agent: AgentProcess) -> bool:
        held = (
            "select 1 from audit join tuner.agent on agent_id = owner"
            " where pid = %s and state = 'held'"
        )
        return bool(self.fleet.query(held, agent.process.pid))

    def _start(self, machine: Machine) -> AgentProcess:
        self.counts["starts"] += 1
        return self.fleet.start(
            self.cells.path,
            workers=2,
            url=self.server.url_at(self.network.address),
            is_light=True,
            patches=[["machine", f"machine {machine.index}"]],
            namespace=self.network.machines[machine.index],
        )

    def _hit(self, machine: Machine, now: float, rng: random.Random) -> None:
        agent = machine.agent
        assert agent is not None
        what = rng.choices(["kill", "stop", "term"], [4, 3, 2])[0]
        # One of each first, the others as it comes.
        what = next((w for w in ("stop", "kill") if not self.counts[w]), what)
        self.counts[what] += 1
        self._say(f"{what} {machine.index}")
        match what:
            case "kill":
                self.killed.append((agent.process.pid, time.time()))
                agent.send(signal.SIGKILL)
            case "stop":
                agent.send(signal.SIGSTOP)
                # Short ones are not to be noticed. A long one makes a zombie: the first always.
                machine.is_to_lose = self.counts["stop"] == 1 or rng.random() < 0.5
                most_seconds = MAX_STOPPED_SECONDS if machine.is_to_lose else 2.0
                machine.stopped_until = now + most_seconds
            case "term":
                agent.send(signal.SIGTERM)
                machine.immune_until = now + IMMUNE_SECONDS
        self._look()

    def _cut(self, machine: Machine, now: float) -> None:
        self.counts["cut"] += 1
        self._say(f"cut {machine.index}")
        self.network.cut(machine.index)
        machine.cut_until = now + LEASE_SECONDS + 3

    def _restart(self, mode: str, away_seconds: float) -> None:
        self.counts["restart"] += 1
        self._say(f"restart {mode}, away {away_seconds:.1f} s")
        self.server.restart(mode, away_seconds)

    def _look(self) -> None:
        ours = "select count(*) from pg_stat_activity where application_name = 'tuner'"
        ((n,),) = self.fleet.query(ours)
        self.most_connections = max(self.most_connections, n)

    def check(self) -> None:
        """What must be true after any such night."""
        self.cells.check(self.fleet)
        assert self.fleet.query("select number from audit_final") == [], "a final trial changed"
        self.fleet.check_nothing_is_left()
        # Those of killed, stopped and cut off agents stay until the server notices.
        assert self.most_connections <= 3 * CONNECTIONS_PER_AGENT * len(self.machines)
        assert self.counts["restart"] == 3
        assert self.counts["cut"] == 1

    def is_conclusive(self) -> bool:
        """Whether a trial was taken over and a zombie came back; otherwise a run proves little."""
        return self.n_taken() >= 1 and self.zombie_returns() >= 1

    def takeovers(self) -> list[float]:
        """Seconds from each kill to the next holder of what the killed one held."""
        pids = self.fleet.query("select pid, agent_id from tuner.agent")
        times = []
        for pid, killed_at in self.killed:
            for _, owner in (row for row in pids if row[0] == pid):
                rows = self.fleet.query(
                    "select extract(epoch from (select min(n.at) from audit n"
                    "  where n.number = a.number and n.at > a.at and n.attempt > a.attempt"
                    "  and n.state = 'held')) - %s"
                    " from (select distinct on (number) * from audit"
                    "       where at < to_timestamp(%s) order by number, at desc) a"
                    " where a.owner = %s and a.state = 'held'",
                    killed_at,
                    killed_at,
                    owner,
                )
                times += [float(seconds) for (seconds,) in rows if seconds is not None]
        return times

    def n_taken(self) -> int:
        """Attempts that began with a takeover, from whomever."""
        rows = self.fleet.query("select 1 from tuner.event where kind = 'taken_over'")
        return len(rows)

    def zombie_returns(self) -> int:
        """Attempts that were refused to who came back."""
        return sum(
            agent.output.count("lost, another agent holds it now") for agent in self.fleet.agents
        )

    def summary(self) -> str:
        """One line."""
        times = self.takeovers() or [float("nan")]
        spread = f"{min(times):.1f}/{statistics.median(times):.1f}/{max(times):.1f}"
        return (
            f"chaos seed {self.seed}: {self.cells.n_trials} trials, {self.counts['kill']} kills,"
            f" {self.counts['stop']} stops, {self.counts['term']} terms,"
            f" {self.counts['restart']} restarts, {self.counts['cut']} cuts,"
            f" {self.n_taken()} takeovers (after a kill {spread} s min/median/max),"
            f" {self.zombie_returns()} zombie returns,"
            f" {100 * self.cells.repeated():.1f} % of epochs repeated,"
            f" at most {self.most_connections} connections"
        )


def write_cells(folder: Path, n_trials: int) -> Cells:
    """Trials that outlast the lease."""
    return Cells(folder, n_x=n_trials // 6, n_y=6, epochs=8, seconds=0.5, every="0.4s")
