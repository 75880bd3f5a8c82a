"""What is stored of a spec, and when a file means another study."""

import json
from pathlib import Path

import pytest

from tuner.study_file.identity import (
    compare_specs,
    dump_spec,
    parse_spec,
    render_differences,
    with_local_keys,
)
from tuner.study_file.load import load_spec
from tuner.study_file.model import Algorithm, Budget, Checkpoints, StudySpec, Workers
from tuner.study_file.params.space import Choice, FloatRange, When

STUDIES = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))


@pytest.fixture
def spec() -> StudySpec:
    return load_spec(Path(__file__).parents[3] / "studies" / "digits.yaml")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_stored_spec_reads_back_exactly(path):
    spec = load_spec(path)
    stored = json.loads(json.dumps(dump_spec(spec)))
    parsed = with_local_keys(parse_spec(stored), spec)
    assert parsed == spec
    assert repr(parsed) == repr(spec)
    assert set(stored) == set(StudySpec.model_fields)


def test_no_database_row_trusts_folders(spec):
    trusting = spec.model_copy(update={"checkpoints": Checkpoints(keep=5, folders="trusted")})
    assert "folders" not in dump_spec(trusting)["checkpoints"]
    row = trusting.model_dump(mode="json")
    assert row["checkpoints"]["folders"] == "trusted"
    parsed = parse_spec(row)
    assert (parsed.checkpoints.keep, parsed.checkpoints.trusts_folders) == (5, False)
    assert with_local_keys(parsed, trusting).checkpoints == trusting.checkpoints


def test_machines_may_trust_differently_without_a_word(spec):
    trusting = spec.model_copy(update={"checkpoints": Checkpoints(folders="trusted")})
    comparison = compare_specs(spec, trusting)
    assert comparison.identity == comparison.notices == ()


def test_the_same_file_is_the_same_study(spec):
    comparison = compare_specs(spec, spec)
    assert comparison.identity == comparison.notices == ()


def test_the_order_of_parameters_does_not_matter(spec):
    turned = dict(reversed(spec.search_space.items()))
    assert not compare_specs(spec, spec.model_copy(update={"search_space": turned})).identity


def test_a_default_written_out_does_not_matter(spec):
    given = spec.model_copy(update={"params": {**spec.params, "optimizer": "adam"}})
    assert not compare_specs(spec, given).identity


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("seed", 8, "seed: stored 0, given 8"),
        ("pruner", Algorithm(name="none"), "pruner: stored {asha: {min_resource: 1, "),
        ("params", {"epochs": 9, "width": 64}, "params.epochs: stored 27, given 9"),
        ("metric", "val_x", "minimize: stored val_loss, given val_x"),
        (
            "search_space",
            {"learning_rate": FloatRange(low=1e-4, high=0.5, step=1.0)},
            "search_space.learning_rate: stored {float: [0.0001, 0.1], log: true}, "
            "given {float: [0.0001, 0.5], step: 1.0}",
        ),
        (
            "search_space",
            {"batch_size": Choice(choices=(32, 16, 64, 128))},
            "search_space.batch_size: stored {choice: [16, 32, 64, 128]}, "
            "given {choice: [32, 16, 64, 128]}",
        ),
        (
            "search_space",
            {
                "batch_size": Choice(
                    choices=(16, 32, 64, 128),
                    when=When(parameter="optimizer", values=("sgd", True)),
                )
            },
            "search_space.batch_size: stored {choice: [16, 32, 64, 128]}, "
            "given {choice: [16, 32, 64, 128], when: {optimizer: [sgd, true]}}",
        ),
        (
            "search_space",
            {
                "dropout": FloatRange(
                    low=0, high=0.5, grid=6, when=When(parameter="optimizer", values=("sgd",))
                )
            },
            "search_space.dropout: stored {float: [0.0, 0.5]}, "
            "given {float: [0.0, 0.5], grid: 6, when: {optimizer: sgd}}",
        ),
        (
            "pruner",
            Algorithm(
                name="any",
                parts=(
                    Algorithm(name="threshold", settings={"lower": None, "upper": 3.0}),
                    Algorithm(
                        name="patient", settings={"patience": 5}, parts=(Algorithm(name="none"),)
                    ),
                ),
            ),
            "pruner: stored {asha: {min_resource: 1, reduction_factor: 3}}, "
            "given [{threshold: {upper: 3.0}}, {patient: {patience: 5, wrapped: none}}]",
        ),
    ],
)
def test_a_difference_in_identity_is_said_in_one_line(field, value, line, spec):
    if field == "search_space":
        value = {**spec.search_space, **value}
    comparison = compare_specs(spec, spec.model_copy(update={field: value}))
    assert not comparison.notices
    (difference,) = comparison.identity
    assert render_differences([difference]).startswith(line)


def test_a_missing_parameter_is_a_difference_on_both_sides(spec):
    space = dict(spec.search_space)
    del space["dropout"]
    lines = render_differences(
        compare_specs(spec, spec.model_copy(update={"search_space": space})).identity
    ).splitlines()
    assert "search_space.dropout: stored {float: [0.0, 0.5]}, given nothing" in lines
    assert "params.dropout: stored nothing, given 0.0" in lines


def test_what_belongs_to_a_machine_may_differ_with_a_notice(spec):
    changes = {
        "workers": Workers(processes=3),
        "budget": Budget(trials=7),
        "enqueue": ({"learning_rate": 0.5},),
    }
    given = spec.model_copy(update=changes)
    comparison = compare_specs(spec, given)
    assert not comparison.identity
    assert render_differences(comparison.notices).splitlines() == [
        "budget.trials: stored 100, given 7; the stored budget stays; `tuner extend` raises it",
        "workers.processes: stored 1, given 3",
        "enqueue: stored [], given [{learning_rate: 0.5}]; nothing is enqueued again; "
        "`tuner enqueue` adds trials",
    ]
