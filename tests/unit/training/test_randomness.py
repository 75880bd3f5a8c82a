"""Addressed randomness: functions of their address, and statistically clean."""

import math

import torch

from tuner.training.randomness import DropoutMasks, row_order, uniform

LIKE = torch.zeros(1)


def _masks(seed, rate=0.5, *, n_steps=8, first_step=0, batch=64, width=128, n_layers=2):
    masks = DropoutMasks(
        [seed], [rate], n_layers=n_layers, n_steps=n_steps, batch=batch, width=width, like=LIKE
    )
    masks.fill(torch.tensor([first_step]))
    return torch.stack([torch.cat(step) for step in masks.by_step])  # S L B H


def test_order_is_a_permutation_that_depends_on_the_epoch_alone():
    assert torch.equal(row_order(3, 7, 100), row_order(3, 7, 100))
    assert not torch.equal(row_order(3, 7, 100), row_order(3, 8, 100))
    assert torch.equal(row_order(3, 7, 100).sort().values, torch.arange(100))


def test_nothing_touches_the_global_generator():
    before = torch.get_rng_state()
    row_order(1, 2, 10), uniform(1, "w", (2, 3), 0.1), _masks(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_initial_values_fill_their_interval_and_differ_by_name():
    values = uniform(5, "hidden.0.weight", (100, 100), 0.25)
    assert values.abs().max() <= 0.25
    assert abs(values.mean().item()) < 0.01
    assert abs(values.std().item() - 0.25 / math.sqrt(3)) < 0.005
    assert not torch.equal(values, uniform(5, "hidden.1.weight", (100, 100), 0.25))


def test_a_mask_depends_on_its_step_not_on_how_many_are_filled_at_once():
    together = _masks(9, n_steps=8)
    for step in range(8):
        assert torch.equal(_masks(9, n_steps=1, first_step=step)[0], together[step])


def test_a_lane_has_the_same_masks_in_any_company():
    masks = DropoutMasks([1, 9], [0.1, 0.5], n_layers=2, n_steps=4, batch=64, width=128, like=LIKE)
    masks.fill(torch.tensor([77, 3]))
    ours = torch.stack([torch.stack([layer[1] for layer in step]) for step in masks.by_step])
    assert torch.equal(ours, _masks(9, n_steps=4, first_step=3))


def test_a_smaller_batch_is_a_prefix():
    assert torch.equal(_masks(4, batch=10), _masks(4)[:, :, :10])


def test_the_expected_activation_is_kept():
    for rate in (0.0, 0.1, 0.5, 0.9):
        masks = _masks(2, rate, n_steps=16)
        n = masks.numel()
        kept = (masks > 0).double().mean().item()
        assert abs(kept - (1 - rate)) <= 4.5 * math.sqrt(rate * (1 - rate) / n)
        assert torch.equal(masks.unique(), torch.tensor([0.0, 1 / (1 - rate)]).unique()[-2:]) or (
            rate == 0.0 and bool((masks == 1).all())
        )


def _correlation(a, b):
    """In standard deviations of the mean product of independent signs."""
    return ((a * b).mean() * math.sqrt(a.numel())).abs().item()


def _signs(masks):
    return (masks > 0).double() * 2 - 1


def test_masks_are_independent_across_steps_layers_seeds_rows_and_units():
    signs = _signs(_masks(11, n_steps=40))
    worst = [
        _correlation(signs[i], signs[j]) for i in range(40) for j in range(i)
    ]  # 780 pairs of steps
    worst += [_correlation(signs[:, 0], signs[:, 1])]
    worst += [_correlation(signs, _signs(_masks(seed, n_steps=40))) for seed in (10, 12, 2**31)]
    worst += [_correlation(signs[..., shift:], signs[..., :-shift]) for shift in (1, 2, 8, 64)]
    worst += [_correlation(signs[:, :, s:], signs[:, :, :-s]) for s in (1, 2, 16)]
    worst += [_correlation(signs[s:], signs[:-s]) for s in (1, 2, 8)]
    assert max(worst) < 4.9  # about one chance in 1,000 for 800 normal deviates


def test_no_unit_and_no_step_is_favoured():
    n_steps = 400
    kept = (_masks(21, n_steps=n_steps, batch=8, width=64) > 0).double()
    by_unit = (kept.sum(0) - n_steps / 2) / math.sqrt(n_steps / 4)  # 1024 deviates
    by_step = (kept.sum((1, 2, 3)) - 512) / math.sqrt(256)  # 400 deviates
    for deviates in (by_unit.flatten(), by_step):
        n = len(deviates)
        # chi-square of n degrees of freedom
        assert abs(deviates.square().sum().item() - n) < 5 * math.sqrt(2 * n)
        assert deviates.abs().max() < 5


def test_pairs_of_masks_are_not_shifted_copies():
    signs = _signs(_masks(31, n_steps=30, n_layers=1)).flatten(1)
    spectrum = torch.fft.rfft(signs)
    for i in range(30):
        for j in range(i):
            correlations = torch.fft.irfft(spectrum[i] * spectrum[j].conj(), signs.shape[1])
            assert correlations.abs().max().item() / math.sqrt(signs.shape[1]) < 6.5
