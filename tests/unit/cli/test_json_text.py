"""JSON for programs."""

import json
import math

from tests.unit.cli.builders import summary, trial
from tuner.cli.commands import best, status
from tuner.cli.main import main
from tuner.cli.text.as_json import render_json
from tuner.cli.text.summary import summary_json


def _refuse(text):
    raise AssertionError(f"{text} is no JSON")


def test_numbers_that_are_not_finite_are_null_wherever_they_stand():
    attrs = {"loss": math.nan, "curve": [1.0, math.inf], "by": {"x": (-math.inf, 2)}, "n": 10**30}
    found = summary(best=trial(value=math.inf, user_attrs=attrs))
    document = json.loads(render_json(summary_json(found)), parse_constant=_refuse)
    assert document["best"]["value"] is None
    assert document["best"]["user_attrs"] == {
        "loss": None,
        "curve": [1.0, None],
        "by": {"x": [None, 2]},
        "n": 10**30,
    }


def test_reading_commands_print_strict_json(capsys, monkeypatch):
    found = summary(best=trial(user_attrs={"loss": math.nan}))
    for module, command, load, loaded in (
        (best, "best", "load_summary", found),
        (status, "status", "load_watched", (found, None)),
    ):
        monkeypatch.setattr(module, "open_existing", _NoDatabase)
        monkeypatch.setattr(module, load, lambda *_given, loaded=loaded: loaded)
        assert main([command, "digits", "--json"]) == 0
        json.loads(capsys.readouterr().out, parse_constant=_refuse)


class _NoDatabase:
    def __init__(self, _storage):
        pass

    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None
