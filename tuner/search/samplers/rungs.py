"""The common part of samplers that learn from values at rungs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence

import numpy as np

from tuner.search.batch import Answer, Question, propose_batch
from tuner.search.beliefs import Beliefs
from tuner.search.cube import Cube, Floats
from tuner.search.mirror import Mirror
from tuner.search.rung_table import RungTable, Trials
from tuner.space import to_distributions
from tuner.study.suggestion import SuggestedBy, Suggestion
from tuner.study_file.params.space import SearchSpace

RANDOM_SHARE = 0.1
# From the points of the suggestions before it in the batch (n, n_axes), which run, the coordinates
# that must be taken over (NaN: free), and a generator: a point, and its origin.
Draw = Callable[[Floats, Floats, np.random.Generator], tuple[Floats, SuggestedBy]]


class RungSampler(ABC):
    """Proposes points of the unit cube, some of them around the user's beliefs."""

    reads_rungs = True

    def __init__(self, *, space: SearchSpace) -> None:
        self._cube = Cube(to_distributions(space))
        self._beliefs = Beliefs(self._cube, space)
        self._table = RungTable(self._cube)

    def propose(
        self, mirror: Mirror, n: int, seed: int, shared: Collection[str] = ()
    ) -> Sequence[Suggestion]:
        """Return `n` suggestions, each of which sees those before it as running trials."""
        trials = self._table.read(mirror)
        believed = self._beliefs.share(trials)
        draw = self._open(trials, seed)

        def ask(question: Question) -> Answer:
            rng = np.random.Generator(np.random.PCG64(question.seed))
            led = self._cube.encode(question.led)
            point, by = draw(self._running(question, trials), led, rng)
            if rng.random() < believed:
                point, by = self._beliefs.redraw(point, led, rng), SuggestedBy.BELIEF
            return Answer(params=self._cube.decode(point), by=by)

        return propose_batch(ask, mirror, n, seed, shared, with_rungs=True)

    @abstractmethod
    def _open(self, trials: Trials, seed: int) -> Draw:
        """Return the model over these trials, for a batch with this seed."""

    def _running(self, question: Question, trials: Trials) -> Floats:
        batch = question.trials[len(trials.numbers) :]
        points = [self._cube.encode(trial.params) for trial in batch]
        return np.array(points).reshape(len(batch), len(self._cube.axes))
