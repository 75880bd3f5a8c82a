"""What is vendored is what npm publishes, and needs nothing that the content policy refuses."""

import hashlib
import re

import pytest

from tuner.results.figures.assets import PLOTLY, SHA256, read_text


@pytest.mark.parametrize("name", PLOTLY.values())
def test_plotly_is_unchanged(name):
    assert hashlib.sha256(read_text(name).encode()).hexdigest() == SHA256[name]


def test_the_bundle_of_most_pages_makes_no_code_of_text():
    assert re.search(r"new Function|[^.\w]eval\(", read_text(PLOTLY["basic"])) is None


def test_styles_of_plotly_are_where_the_page_has_them():
    script, styles = read_text(PLOTLY["basic"]), read_text("plotly.css")
    rules = re.findall(r'"(X [^"]+)":["\']', script)
    assert len(rules) > 20
    for rule in rules:
        assert rule.replace("X", ".js-plotly-plot .plotly") in styles
