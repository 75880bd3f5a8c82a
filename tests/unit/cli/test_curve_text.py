"""Curves in characters."""

import pytest

from tuner.cli.text.budget import bar
from tuner.cli.text.curve import render_curve, sparkline

CURVE = {1: 1.0, 2: 0.5, 3: 0.25, 9: 0.2}


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_curve_fits_the_width_and_names_its_extremes(width, ascii_only):
    lines = render_curve(CURVE, "epoch", width, ascii_only=ascii_only).split("\n")
    assert max(map(len, lines)) <= width
    assert len(lines) == 9
    assert (lines[0].split()[0], lines[7].split()[0]) == ("1.0", "0.2")
    assert lines[8].split() == ["epoch", "1", "9"]
    assert not ascii_only or "".join(lines).isascii()


def test_a_flat_curve_is_a_line_and_a_single_point_is_no_curve():
    assert render_curve({1: 0.5, 2: 0.5}, "step", 40)
    assert render_curve({1: 0.5}, "step", 40) == render_curve({}, "step", 40) == ""


def test_a_sparkline_is_no_wider_than_asked():
    assert sparkline([3.0, 2.0, 1.0], 10) == "█▅▁"
    assert len(sparkline(list(range(1000)), 12)) == 12
    assert sparkline([1.0, 1.0], 5) == "▁▁"
    assert sparkline([], 5) == sparkline([1.0], 0) == ""
    assert sparkline([0, 1], 2, ascii_only=True).isascii()


@pytest.mark.parametrize("share", [-1, 0, 0.01, 0.33, 0.999, 1, 7])
def test_a_bar_keeps_its_width(share):
    assert len(bar(share, 9)) == len(bar(share, 9, ascii_only=True)) == 9
    assert bar(1.0, 3) == "███"
    assert bar(0.5, 4, ascii_only=True) == "##.."
