"""The Gaussian process: its slope, its posterior and its draws."""

import numpy as np
import pytest

from tuner.search import gaussian_process
from tuner.search.gaussian_process import Kernel, Posterior, fit_kernel

AXES = np.array([0, 1, 1])


def observations(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.random((n, 3))
    return x, np.sin(6 * x[:, 0]) + 0.05 * rng.standard_normal(n)


def test_the_slope_is_that_of_the_loss():
    x, y = observations(12)
    squares = np.stack(
        [
            (x[:, 0, None] - x[None, :, 0]) ** 2,
            ((x[:, None, 1:] - x[None, :, 1:]) ** 2).sum(2),
        ]
    )
    mean, spread = np.array([-0.5, -0.4, 0.0, -2.0]), np.array([1.0, 1.0, 0.5, 1.0])
    theta = np.array([-0.3, 0.4, 0.2, -1.5])
    _, slope = gaussian_process._loss(theta, squares, y, mean, spread)
    for place in range(4):
        step = np.zeros(4)
        step[place] = 1e-6
        above = gaussian_process._loss(theta + step, squares, y, mean, spread)[0]
        below = gaussian_process._loss(theta - step, squares, y, mean, spread)[0]
        assert slope[place] == pytest.approx((above - below) / 2e-6, rel=1e-4)


def test_the_fit_finds_the_input_that_matters():
    kernel = fit_kernel(*observations(60), AXES)
    assert kernel.lengths[0] < kernel.lengths[1] / 2
    assert kernel.noise < 0.1


def test_the_posterior_is_that_of_the_textbook():
    x, y = observations(8)
    kernel = Kernel(lengths=np.array([0.4, 1.3]), scale=1.2, noise=0.3)
    new = np.random.default_rng(6).random((5, 3))
    posterior = Posterior(kernel, x, y, AXES)
    inverse = np.linalg.inv(kernel.between(x, x, AXES) + 0.3 * np.eye(8))
    cross = kernel.between(new, x, AXES)
    joint = posterior.joint(new)
    assert posterior.mean(new) == pytest.approx(cross @ inverse @ y, abs=1e-4)
    assert joint.mean == pytest.approx(cross @ inverse @ y, abs=1e-4)
    covariance = kernel.between(new, new, AXES) - cross @ inverse @ cross.T
    assert joint.factor @ joint.factor.T == pytest.approx(covariance, abs=1e-4)


def test_draws_have_the_mean_and_the_spread_of_the_posterior():
    x, y = observations(8)
    kernel = Kernel(lengths=np.array([0.4, 1.3]), scale=1.2, noise=0.3)
    joint = Posterior(kernel, x, y, AXES).joint(x[:2])
    rng = np.random.default_rng(7)
    draws = np.stack([joint.draw(rng) for _ in range(4000)])
    assert draws.mean(0) == pytest.approx(joint.mean, abs=0.05)
    assert np.cov(draws.T) == pytest.approx(joint.factor @ joint.factor.T, abs=0.05)


def test_equal_points_can_be_drawn_together():
    x, y = observations(8)
    joint = Posterior(Kernel(lengths=np.ones(2), scale=1.0, noise=0.1), x, y, AXES).joint(
        np.repeat(x[:1], 5, axis=0)
    )
    draw = joint.draw(np.random.default_rng(1))
    assert np.ptp(draw) < 0.05
