"""The agent's rules: from an event and the state to acts, without I/O or a clock of their own."""

from typing import assert_never

from tuner.agent import events
from tuner.agent.acts import Act, AdmitWorkers, AskClaim, RecordWorkers, Say
from tuner.agent.machine import Machine
from tuner.agent.notices import FolderMadeAgain, NotPreloaded
from tuner.agent.rules import (
    answers,
    blocks,
    breaker,
    checkpoints,
    control,
    filling,
    memory,
    stopping,
    watching,
    workers,
)


def judge(machine: Machine, event: events.Event, now: float) -> list[Act]:  # noqa: C901 - a table of event types
    """Return the acts that follow from an event at `now` (seconds on the agent's monotonic clock).

    Call `due_acts` after it.
    """
    machine.now = now
    match event:
        case events.WorkerSaid():
            return workers.said(machine, event, now)
        case events.WorkerGone():
            return workers.gone(machine, event)
        case events.TemplateAnswered():
            return [AdmitWorkers()]
        case events.TemplateNoted():
            return [Say(notice=NotPreloaded(sentence=event.text))]
        case events.WorkerPrinted():
            return workers.printed(machine, event)
        case events.ClaimAnswered():
            return answers.claimed(machine, event, now)
        case events.BatchWritten():
            return answers.written(machine, event)
        case events.EndsWritten():
            return answers.ended(machine, event, now)
        case events.Changed():
            return answers.changed(machine, event)
        case events.CheckpointLoaded():
            return checkpoints.loaded(machine, event, now)
        case events.Uploaded():
            return checkpoints.uploaded(machine, event)
        case events.PulseHeard():
            return answers.pulse_heard(machine, event, now)
        case events.DevicesLent():
            return blocks.lend(machine, event)
        case events.StoreAway():
            return answers.store_away(machine, event, now)
        case events.StoreBack():
            return answers.store_back(machine, event, now)
        case events.ElsewhereHeard():
            return breaker.heard(machine, event)
        case events.MemoryRead():
            return memory.note(machine, event)
        case events.HelperFailed():
            return stopping.fail(event.error)
        case events.FolderRestored():
            return [RecordWorkers(), Say(notice=FolderMadeAgain(path=event.path))]
        case events.FolderLost():
            return stopping.leave_with(machine, event.error, now)
        case events.StopAsked():
            return stopping.asked(machine, event, now)
        case events.Tick():
            return []
        case _:
            assert_never(event)


def due_acts(machine: Machine, now: float) -> list[Act]:
    """Return the acts that are due after one or several events, over every worker and lane."""
    machine.now = now
    acts = watching.watch(machine)
    if machine.stop is None:
        acts += control.due_acts(machine)
        acts += blocks.due_acts(machine)
        acts += breaker.due_acts(machine)
        acts += filling.fill(machine, now)
    else:
        acts += stopping.due_acts(machine, now)
    is_claimed = any(isinstance(act, AskClaim) for act in acts)
    acts += filling.send_ends(machine, now, is_due=is_claimed or machine.stop is not None)
    acts += filling.flush(machine, now)
    return acts
