"""`tuner.run` and `tuner.load_study` from Python: what they are not made for is one sentence."""

from typing import Any

import pytest

import tuner


def train(trial: tuner.Trial) -> float:
    return 0.0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (train, "not the function train; name it in the file, as in `objective: train.py:train`"),
        (None, "takes the path of a study file, not a NoneType"),
        ({"name": "digits"}, "takes the path of a study file, not a dict"),
        (b"study.yaml", "takes the path of a study file, not a bytes"),
        ("missing.yaml", "no such file"),
    ],
)
def test_what_is_no_study_file_is_a_tuner_error(given: Any, sentence: str) -> None:
    with pytest.raises(tuner.TunerError, match=sentence):
        tuner.run(given)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"workers": 0}, "workers is 0; give a whole number from 1 on"),
        ({"workers": "2"}, "workers is '2'"),
        ({"workers": True}, "workers is True"),
        ({"overrides": "seed=3"}, "overrides is 'seed=3'; give a tuple of texts"),
        ({"overrides": (3,)}, "give a tuple of texts"),
        ({"overrides": None}, "give a tuple of texts"),
        ({"storage": 3}, "storage is 3; give text, or None"),
    ],
)
def test_options_that_are_none_are_a_tuner_error(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(tuner.TunerError, match=sentence):
        tuner.run("study.yaml", **options)


@pytest.mark.parametrize("name", [None, 3, "a\0b"])
def test_what_names_no_study_is_a_tuner_error(name: Any) -> None:
    with pytest.raises(tuner.TunerError, match="takes the name of a study"):
        tuner.load_study(name)
