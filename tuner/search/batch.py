"""A batch of suggestions: one after the other, from the same record."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from tuner.search.mirror import Mirror, ShownTrial
from tuner.study.seeds import derive_seed
from tuner.study.suggestion import SuggestedBy, Suggestion
from tuner.study.trial import Params


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request for one suggestion."""

    trials: Sequence[ShownTrial]  # by number; the suggestions before it run
    number: int  # that the trial will probably have
    place: int  # in the batch, from 0
    seed: int  # of this place
    led: Params  # values that the first one of the batch chose, for all others


@dataclass(frozen=True, kw_only=True)
class Answer:
    params: Params
    by: SuggestedBy | None = None


Ask = Callable[[Question], Answer]


def propose_batch(
    ask: Ask,
    mirror: Mirror,
    n: int,
    seed: int,
    shared: Collection[str] = (),
    *,
    with_rungs: bool = False,
) -> Sequence[Suggestion]:
    """Return `n` suggestions, each of which sees those before it as running trials.

    The first one leads: the others have its values of the `shared` params, wherever they apply.

    `ask` must be a function of the mirror, its question and the batch's seed. Then a batch of more
    than `basis.place` suggestions on `mirror.as_of(basis)` has the same one at that place.
    `with_rungs`: it reads the values at rungs.
    """
    trials = list(mirror.shown())
    basis = mirror.basis(seed, with_rungs=with_rungs)
    suggestions: list[Suggestion] = []
    led: Params = {}
    for place in range(n):
        number = basis.highest + 1 + place
        question = Question(
            trials=trials,
            number=number,
            place=place,
            seed=derive_seed(seed, "place", place),
            led=led,
        )
        answer = ask(question)
        if place == 0:
            led = {name: answer.params[name] for name in shared if name in answer.params}
        trials.append(mirror.running_trial(number, answer.params))
        suggestions.append(
            Suggestion(params=answer.params, basis=replace(basis, place=place), by=answer.by)
        )
    return suggestions
