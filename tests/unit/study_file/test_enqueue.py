"""`enqueue:`: what a claim would refuse later is refused in the file."""

from pathlib import Path

import pytest

from tuner.errors import StudyFileError
from tuner.space import fitting_params, to_distributions
from tuner.study_file.load import load_spec

STUDY = """\
name: begun
objective: {{data: {{sklearn: digits}}, model: mlp}}
minimize: val_loss
search_space:
  learning_rate: {{float: [1e-4, 1e-1], log: true}}
  dropout: {{choice: [0.0, 0.25]}}
  n_layers: {{int: [1, 4]}}
  optimizer: {{choice: [sgd, adam]}}
  momentum: {{float: [0.5, 0.9], when: {{optimizer: sgd}}}}
budget: {{trials: 5}}
enqueue: {entries}
"""


def write(folder: Path, entries: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(entries=entries))
    return path


@pytest.mark.parametrize(
    ("entry", "params"),
    [
        ("{}", {}),
        ("{learning_rate: 0.01}", {"learning_rate": 0.01}),
        ("{dropout: 0, n_layers: 2}", {"dropout": 0.0, "n_layers": 2}),
        ("{optimizer: sgd, momentum: 0.5}", {"optimizer": "sgd", "momentum": 0.5}),
        ("{momentum: 0.5, optimizer: sgd}", {"optimizer": "sgd", "momentum": 0.5}),
    ],
)
def test_params_come_in_the_types_of_the_space_and_fit_it(entry, params, tmp_path):
    spec = load_spec(write(tmp_path, f"[{entry}]"))
    assert [dict(given) for given in spec.enqueue] == [params]
    assert fitting_params(spec.enqueue[0], to_distributions(spec.search_space)) == params
    assert {name: type(value) for name, value in spec.enqueue[0].items()} == {
        name: type(value) for name, value in params.items()
    }


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            "{momentum: 0.5}",
            "enqueue[0]: momentum applies only where optimizer is 'sgd'; give optimizer as well",
        ),
        (
            "{optimizer: adam, momentum: 0.5}",
            "enqueue[0]: momentum applies only where optimizer is 'sgd'; remove it",
        ),
        ("{dropout: 0.1}", "enqueue[0].dropout: 0.1 is not among 0.0, 0.25"),
        ("{learning_rate: true}", "must be a number from 0.0001 to 0.1, not true"),
    ],
)
def test_what_a_claim_would_refuse_is_a_fault(entry, sentence, tmp_path):
    with pytest.raises(StudyFileError) as caught:
        load_spec(write(tmp_path, f"[{entry}]"))
    assert sentence in str(caught.value)
