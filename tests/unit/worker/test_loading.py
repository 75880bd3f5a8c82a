"""The frames of a traceback that belong to the user's code."""

from pathlib import Path

import pytest

import tuner
from tuner.worker.loading import last_user_frame

PACKAGE = Path(tuner.__file__).parent


def _frame_of(path: Path) -> str:
    code = compile("def train(trial):\n    raise ValueError\n", str(path), "exec")
    names: dict[str, object] = {}
    exec(code, names)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the frame is what counts
        names["train"](None)  # type: ignore[operator]
    return last_user_frame(caught.value.__traceback__)


@pytest.mark.parametrize(
    "path",
    [
        PACKAGE.parent / "studies" / "train.py",  # a checkout: next to the package
        PACKAGE.with_name("tuner_of_a_user") / "train.py",
    ],
)
def test_code_next_to_the_package_is_the_users(path):
    assert _frame_of(path) == "train.py:2 in train"


def test_code_of_the_package_is_not():
    assert "train.py" not in _frame_of(PACKAGE / "worker" / "train.py")
