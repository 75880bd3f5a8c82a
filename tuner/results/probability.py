"""The probability of each of several candidates to be the best one."""

from collections.abc import Sequence

import numpy as np

from tuner.study.trial import Direction

N_DRAWS = 100_000
_SEED = 0  # the same answer every time


def probabilities_of_best(
    samples: Sequence[Sequence[float]], direction: Direction
) -> list[float | None]:
    """Return for each candidate the probability that its mean is the best; None below two values.

    Values are taken as draws from normal distributions, each candidate with a mean and a variance
    of its own, about which nothing was known before: the mean of n values then has Student's t
    distribution with n - 1 degrees of freedom around their average, scaled by s / sqrt(n) (Chick &
    Inoue, "New two-stage and sequential procedures for selecting the best simulated system",
    Operations Research 49(5), 2001). The shares of `N_DRAWS` joint draws in which a candidate is
    the best, ties shared, are the answer, exact to about 0.002. Candidates that cannot be judged do
    not compete.
    """
    judged = [place for place, values in enumerate(samples) if len(values) > 1]
    found: list[float | None] = [None] * len(samples)
    if not judged:
        return found
    generator = np.random.Generator(np.random.PCG64(_SEED))
    means = np.stack(
        [_draw(direction.rank(np.array(samples[place])), generator) for place in judged]
    )
    is_best = means == means.min(0)
    shares = (is_best / is_best.sum(0)).mean(1)
    for place, share in zip(judged, shares, strict=True):
        found[place] = float(share)
    return found


def _draw(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    n = len(values)
    scale = values.std(ddof=1) / np.sqrt(n)
    return np.asarray(values.mean() + scale * generator.standard_t(n - 1, size=N_DRAWS))
