"""What no study or trial can be called, and text that no database takes: a sentence, no mistake."""

import pytest

from tests.integration.stores import make_spec
from tests.unit.dashboard.asgi_calls import call
from tuner.dashboard.access import Access
from tuner.dashboard.actions import ACTIONS, Target
from tuner.dashboard.app import build_app
from tuner.dashboard.guard import Guarding
from tuner.dashboard.hosts import LOOPBACK
from tuner.errors import UsageError


@pytest.mark.parametrize(
    "path",
    ["/s/\0", "/s/a b", "/s/" + "a" * 65, "/s/\ud7ff/trials", "/s/x/t/" + "1" * 5000,
     "/s/x/t/" + "1" * 19 + "/curve", "/s/x/t/\u0661"],
    ids=["nul", "blank", "long", "letter", "digits", "number", "digit"],
)  # fmt: skip
def test_an_address_of_nothing_is_no_page(path):
    access = Access(key=b"k" * 32)
    guarding = Guarding(hosts=LOOPBACK, allow_actions=False, cookie="c")
    app = build_app(None, access=access, guarding=guarding)  # no database is asked
    answer = call(app, path=path, headers={"cookie": f"c={access.new_session()}"})
    assert answer.status == 404
    assert b"no such page" in answer.body


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\0", "x" * 501, 3],
                         ids=["low", "high", "nul", "long", "number"])  # fmt: skip
@pytest.mark.parametrize("action", ["pause", "stop", "extend", "enqueue"])
def test_text_that_no_database_takes_is_refused(action, text):
    target = Target(database=None, study_id=1, spec=make_spec(), who="a test")
    with pytest.raises(UsageError, match="is a text of at most 500 characters"):
        ACTIONS[action](target, {"reason": text, "trials": text, "params": text})


def test_the_example_of_an_amount_is_an_amount():
    target = Target(database=None, study_id=1, spec=make_spec(), who="a test")
    for name in ("trials", "steps", "seconds", "device_seconds", "target"):
        with pytest.raises(UsageError, match="such as") as refused:
            ACTIONS["extend"](target, {name: "much"})
        example = str(refused.value).rpartition("such as ")[2]
        with pytest.raises(AttributeError):  # taken: the command itself needs a database
            ACTIONS["extend"](target, {name: example})
