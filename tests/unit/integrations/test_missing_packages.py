"""What the callbacks do without their packages: one sentence, and the agreement of ranks."""

import importlib
import sys

import pytest

from tuner.integrations.ranks import act_on_first
from tuner.trial import Mistake, TrialPruned, TrialReleased

PACKAGES = ["lightning", "lightning.pytorch", "pytorch_lightning", "transformers", "accelerate"]


@pytest.mark.parametrize("module", ["lightning", "hugging_face"])
def test_a_missing_package_is_one_sentence(module, monkeypatch):
    for package in PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"tuner.integrations.{module}", raising=False)
    with pytest.raises(ImportError, match=rf"^tuner\.integrations\.{module} needs .*pip install"):
        importlib.import_module(f"tuner.integrations.{module}")


@pytest.mark.parametrize("end", [TrialPruned, TrialReleased])
def test_all_ranks_end_as_the_first_one_does(end):
    sent = []

    def act():
        raise end

    def send(value):
        sent.append(value)
        return value

    with pytest.raises(end):
        act_on_first(act, is_first=True, broadcast=send)
    with pytest.raises(end):
        act_on_first(act, is_first=False, broadcast=lambda _: sent[0])


def test_an_error_of_the_first_rank_ends_the_others_too():
    sent = []

    def act():
        raise Mistake("no metric")

    with pytest.raises(Mistake, match="no metric"):
        act_on_first(act, is_first=True, broadcast=lambda value: sent.append(value) or value)
    with pytest.raises(RuntimeError, match=r"the first rank failed: .*no metric"):
        act_on_first(act, is_first=False, broadcast=lambda _: sent[0])


def test_a_report_that_ends_nothing_continues_on_all_ranks():
    reported = []
    for is_first in (True, False):
        act_on_first(
            lambda: reported.append(1), is_first=is_first, broadcast=lambda _: (None, None)
        )
    assert reported == [1]
