"""A confirmation as text and as JSON."""

from typing import Any

from tuner.cli.text.words import count, one_line, render_table, render_value
from tuner.results.confirmation import Candidate, Confirmation
from tuner.study.command_line import (
    UNKNOWN_FILE,
    file_option,
    run_study_command,
    study_command,
)


def render_confirmation(
    confirmation: Confirmation, width: int | None = None, file: str | None = None
) -> str:
    """Render the table of candidates, and its meaning; `file` is the study file, if known."""
    n = len(confirmation.candidates)
    head = (
        f"{one_line(confirmation.search)}: its {count(n, 'best trial')} under "
        f"{count(confirmation.n_seeds, 'fresh seed')} each (study {one_line(confirmation.name)})"
    )
    columns = ["  trial", "in the search", "mean", "spread", "seeds", "probably best"]
    table = render_table(columns, [_row(c) for c in confirmation.candidates], width)
    return "\n".join([head, table, *_words(confirmation, file)])


def _row(candidate: Candidate) -> list[str]:
    n = len(candidate.values)
    more = [f"{candidate.n_failed} failed"] if candidate.n_failed else []
    more += [f"{candidate.n_open} to come"] if candidate.n_open else []
    probability = candidate.probability
    return [
        f"  {candidate.trial}",
        _number(candidate.search_value),
        _number(candidate.mean),
        _number(candidate.spread),
        ", ".join([str(n), *more]),
        "" if probability is None else f"{100 * probability:.0f} %",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else render_value(value)


def _words(confirmation: Confirmation, file: str | None) -> list[str]:
    """Return the conclusions that the table does not show."""
    winner, lines = confirmation.winner, []
    if winner is None:
        return ["nothing is confirmed yet"]
    if not confirmation.is_finished:
        lines.append("not every seed was tried yet: this will change; the same command continues")
    lines.append(
        f"best by its mean: trial {winner.trial}; expect {one_line(confirmation.metric)} "
        f"{_number(winner.mean)}"
        + (f", give or take {_number(winner.spread)} from seed to seed" if winner.spread else "")
    )
    if confirmation.warning is not None:
        lines.append(f"warning: {confirmation.warning}")
    luck = confirmation.luck
    if luck is not None and luck > 0:
        lines.append(
            f"the search's best value was {_number(luck)} too good: the best of many noisy "
            "values is a lucky one"
        )
    if (
        confirmation.warning is None
        and winner.probability is not None
        and winner.probability < 0.9
        and len(confirmation.candidates) > 1
    ):
        lines.append(
            "more seeds would separate the first ones better, unless they are equally good"
        )
    lines.append(f"next: {_export_command(confirmation, file)}")
    return lines


def render_confirmed(confirmation: Confirmation | None) -> str:
    """Render two or three lines for the best trial of the search; empty without a confirmation."""
    if confirmation is None:
        return ""
    winner, n_open = confirmation.winner, sum(c.n_open for c in confirmation.candidates)
    name = one_line(confirmation.name)
    lines = [] if winner is None else [_render_winner(confirmation, winner)]
    lines += [] if confirmation.warning is None else [f"warning: {confirmation.warning}"]
    if n_open:
        what = "confirmed so far" if winner is not None else "nothing is confirmed yet"
        file = UNKNOWN_FILE if confirmation.needs_study_file else ""
        command = run_study_command(confirmation.name, file)
        lines.append(f"{what}: {count(n_open, 'training')} to come ({command})")
    if winner is not None:
        lines.append(f"next: {_export_command(confirmation)}")
    return "\n  ".join(lines or [f"study {name} has confirmed nothing: no training completed"])


def _render_winner(confirmation: Confirmation, winner: Candidate) -> str:
    spread = "" if winner.spread is None else f" +- {render_value(winner.spread)}"
    failed = f" ({winner.n_failed} failed)" if winner.n_failed else ""
    n = len(confirmation.candidates)
    chance = winner.probability
    is_told = chance is not None and n > 1
    sure = f"; probability of being the best of {n}: {100 * (chance or 0):.0f} %" * is_told
    return (
        f"confirmed best: trial {winner.trial}, {one_line(confirmation.metric)} "
        f"{_number(winner.mean)}{spread} over {count(len(winner.values), 'fresh seed')}"
        f"{failed}{sure}"
    )


def _export_command(confirmation: Confirmation, file: str | None = None) -> str:
    named = file_option(file, is_needed=confirmation.needs_study_file)
    words = ("--by confirmed", named, "-o best.yaml")
    return study_command("export", confirmation.search, " ".join(filter(None, words)))


def confirmed_json(confirmation: Confirmation | None) -> dict[str, Any]:
    """Return the keys to merge into a document; none without a confirmation."""
    if confirmation is None:
        return {}
    winner = confirmation.winner
    return {
        "confirmation": {
            "name": confirmation.name,
            "search": confirmation.search,
            "seeds": confirmation.n_seeds,
            "finished": confirmation.is_finished,
            "winner": winner and winner.trial,
            "mean": winner and winner.mean,
            "spread": winner and winner.spread,
            "n_values": winner and len(winner.values),
            "probability_best": winner and winner.probability,
            "warning": confirmation.warning,
            "export": winner and _export_command(confirmation),
        }
    }


def confirmation_json(confirmation: Confirmation) -> dict[str, Any]:
    winner = confirmation.winner
    return {
        "name": confirmation.name,
        "search": confirmation.search,
        "metric": confirmation.metric,
        "direction": confirmation.direction.value,
        "seeds": confirmation.n_seeds,
        "finished": confirmation.is_finished,
        "winner": winner.trial if winner else None,
        "luck": confirmation.luck,
        "warning": confirmation.warning,
        "candidates": [
            {
                "trial": c.trial,
                "params": dict(c.params),
                "search_value": c.search_value,
                "mean": c.mean,
                "spread": c.spread,
                "values": list(c.values),
                "failed": c.n_failed,
                "open": c.n_open,
                "probability_best": c.probability,
            }
            for c in confirmation.candidates
        ],
    }
