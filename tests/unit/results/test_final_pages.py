"""The page of a final training: it needs no network, and no name of anybody's acts in it."""

import json
import re

from tuner.results.figures.final_training import FinalPage, draw_residuals, render_final_page

HOSTILE = "</script><script>alert(1)</script><b>"


def _page(**changes):
    fields = {
        "title": f"digits {HOSTILE}",
        "metric": "val_loss",
        "curve": {1: {"train_loss": 2.0, "val_loss": 1.5}, 2: {"train_loss": 1.0, "val_loss": 0.5}},
        "best_step": 2,
    }
    return FinalPage(**{**fields, **changes})


def test_names_are_text_and_nothing_is_fetched():
    page = render_final_page(_page(classes=[HOSTILE, "b"], confusion=[[3, 1], [0, 4]]))
    own = re.sub(r"<script[^>]*>/\\*\\*.*?</script>", "", page, flags=re.S)  # the library itself
    assert HOSTILE not in page
    assert "alert(1)</script>" not in own
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=", page)
    assert page.startswith("<!doctype html>")


def test_residuals_are_what_the_predictions_missed():
    figure = json.loads(draw_residuals(_page(targets=[3.0, 5.0], predictions=[2.5, 6.0])).to_json())
    assert figure["data"][0]["x"] == [2.5, 6.0]
    assert figure["data"][0]["y"] == [0.5, -1.0]
