"""Good study files and what they mean."""

import subprocess
import sys
from pathlib import Path

import pytest

from tuner.errors import StudyFileError
from tuner.study.trial import Direction
from tuner.study_file.load import load_spec, load_study_file
from tuner.study_file.model import Algorithm, StudySpec
from tuner.study_file.params.space import Choice, FloatRange, IntRange, When

STUDIES = Path(__file__).parents[3] / "studies"
GOOD = """\
name: digits
objective: {data: {sklearn: digits}, model: mlp}
minimize: val_loss
search_space:
  learning_rate: {float: [1e-5, 1], log: true}
budget: {trials: 100}
"""


def load(folder: Path, text: str) -> StudySpec:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return load_spec(path)


def test_the_smallest_file_gets_the_documented_defaults(tmp_path):
    spec = load(tmp_path, GOOD)
    assert (spec.metric, spec.direction, spec.seed) == ("val_loss", Direction.MINIMIZE, 0)
    assert spec.sampler.name == "rung_gp"
    assert spec.pruner.name == "asha"
    assert dict(spec.pruner.settings) == {"min_resource": 1, "reduction_factor": 3}
    assert spec.workers.processes == 1
    assert spec.checkpoints.every_seconds == 30
    assert (spec.failures.retries, spec.failures.lease_seconds) == (2, 30)
    assert spec.failures.grace_seconds == 25


def test_the_main_example_is_what_the_documentation_says():
    spec = load_spec(STUDIES / "digits.yaml")
    assert spec.budget.trials == 100
    assert spec.params == {"epochs": 27, "width": 64}
    assert spec.search_space == {
        "learning_rate": FloatRange(low=1e-4, high=1e-1, log=True),
        "batch_size": Choice(choices=(16, 32, 64, 128)),
        "n_layers": IntRange(low=1, high=4),
        "weight_decay": FloatRange(low=1e-6, high=1e-2, log=True),
        "dropout": FloatRange(low=0, high=0.5),
    }


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_study_is_valid(path):
    assert load_spec(path).name == path.stem


def test_every_setting_reaches_the_spec(tmp_path):
    spec = load(
        tmp_path,
        GOOD.replace("minimize: val_loss", "maximize: val_accuracy")
        + "params: {optimizer: sgd, momentum: 0, width: 0x20}\n"
        + "sampler: {tpe: {n_startup_trials: 32, group: true}}\n"
        + "pruner: {asha: {reduction_factor: 4}}\n"
        + "seed: 4294967295\nworkers: {processes: 2}\ncheckpoints: {every: 1m30s, keep: 5}\n"
        + "failures: {retries: 0, lease: 1s, grace: 6s, stop_after: never, max_offline: 2h}\n"
        + "code: refuse\n",
    )
    assert (spec.metric, spec.direction) == ("val_accuracy", Direction.MAXIMIZE)
    assert spec.params == {"optimizer": "sgd", "momentum": 0.0, "width": 32}
    assert spec.sampler.settings["n_startup_trials"] == 32
    assert spec.sampler.settings["group"] is True
    assert dict(spec.pruner.settings) == {"min_resource": 1, "reduction_factor": 4}
    assert spec.seed == 2**32 - 1
    assert spec.workers.processes == 2
    assert spec.checkpoints.every_seconds == 90
    assert spec.failures.model_dump() == {
        "retries": 0,
        "lease_seconds": 1,
        "grace_seconds": 6,
        "silence_seconds": None,
        "stop_after": None,
        "max_offline_seconds": 7200,
    }
    assert (spec.checkpoints.keep, spec.code) == (5, "refuse")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("dropout: {float: [0, 0.5], step: 0.1}", FloatRange(low=0, high=0.5, step=0.1)),
        ("dropout: {float: [0.1, 0.1]}", FloatRange(low=0.1, high=0.1)),
        ("width: {int: [32, 256], step: 32}", IntRange(low=32, high=256, step=32)),
        ("width: {int: [16, 256], log: true}", IntRange(low=16, high=256, log=True)),
        ("dropout: {choice: [0, 0.1]}", Choice(choices=(0.0, 0.1))),
        ("activation: {choice: [gelu]}", Choice(choices=("gelu",))),
        ("dropout: {float: [0, 0.5], grid: 6}", FloatRange(low=0, high=0.5, grid=6)),
        ("width: {int: [16, 256], grid: 3}", IntRange(low=16, high=256, grid=3)),
    ],
)
def test_a_range_means_what_is_written(written, expected, tmp_path):
    spec = load(tmp_path, GOOD.replace("search_space:", f"search_space:\n  {written}"))
    given = spec.search_space[written.split(":")[0]]
    assert given == expected
    assert repr(given) == repr(expected)  # 0.0 is not 0 in a record


def test_momentum_may_be_searched_when_sgd_is_among_the_choices(tmp_path):
    space = "search_space:\n  optimizer: {choice: [sgd, adam]}\n  momentum: {float: [0, 0.9]}"
    spec = load(tmp_path, GOOD.replace("search_space:", space))
    assert "momentum" in spec.search_space


SGD = When(parameter="optimizer", values=("sgd",))


@pytest.mark.parametrize(
    ("written", "conditions"),
    [
        (
            [
                "optimizer: {choice: [sgd, adam]}",
                "momentum: {float: [0, 0.9], when: {optimizer: sgd}}",
            ],
            {"momentum": SGD},
        ),
        # the parent may stand below
        (
            [
                "momentum: {float: [0, 0.9], when: {optimizer: [sgd]}}",
                "optimizer: {choice: [sgd, adam]}",
            ],
            {"momentum": SGD},
        ),
        # nested; a number may be written either way
        (
            [
                "optimizer: {choice: [sgd, adam], when: {dropout: 0}}",
                "dropout: {choice: [0.0, 0.5]}",
                "momentum: {choice: [0, 0.9], when: {optimizer: sgd}}",
            ],
            {"optimizer": When(parameter="dropout", values=(0.0,)), "momentum": SGD},
        ),
        # a condition that always holds
        (
            [
                "optimizer: {choice: [sgd, adam]}",
                "width: {int: [8, 9], when: {optimizer: [adam, sgd]}}",
            ],
            {"width": When(parameter="optimizer", values=("adam", "sgd"))},
        ),
    ],
)
def test_a_condition_means_what_is_written(written, conditions, tmp_path):
    lines = "".join(f"\n  {line}" for line in written)
    spec = load(tmp_path, GOOD.replace("search_space:", f"search_space:{lines}"))
    found = {name: given.when for name, given in spec.search_space.items() if given.when}
    assert found == conditions
    assert repr(found) == repr({name: conditions[name] for name in found})


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[median]", Algorithm(name="median", settings={})),
        (
            "[median, {threshold: {upper: 3}}]",
            Algorithm(
                name="any",
                parts=(
                    Algorithm(name="median"),
                    Algorithm(name="threshold", settings={"upper": 3.0}),
                ),
            ),
        ),
        (
            "{patient: {patience: 5, wrapped: {percentile: {percentile: 25}}}}",
            Algorithm(
                name="patient",
                settings={"patience": 5},
                parts=(Algorithm(name="percentile", settings={"percentile": 25.0}),),
            ),
        ),
        ("hyperband", Algorithm(name="hyperband", settings={"max_resource": None})),
    ],
)
def test_a_pruner_means_what_is_written(written, expected, tmp_path):
    def is_like(found: Algorithm, wanted: Algorithm) -> bool:
        """The settings that are wanted, beside defaults."""
        return (
            found.name == wanted.name
            and wanted.settings.items() <= found.settings.items()
            and len(found.parts) == len(wanted.parts)
            and all(map(is_like, found.parts, wanted.parts))
        )

    assert is_like(load(tmp_path, GOOD + f"pruner: {written}\n").pruner, expected)


WARNED = [
    (
        "learning_rate: {float: [1e-5, 1]}",
        "5:3: search_space.learning_rate: spans more than two decades (1e-05 to 1.0); add "
        "`log: true`, or its low end is hardly ever tried",
    ),
    ("learning_rate: {float: [1e-3, 0.1]}", None),
    (
        "learning_rate: {float: [1e-3, 0.2]}",
        "5:3: search_space.learning_rate: spans more than two decades (0.001 to 0.2); add "
        "`log: true`, or its low end is hardly ever tried",
    ),
    (
        "learning_rate: {float: [0.1, 0.1]}\n  width: {int: [1, 400]}",
        "5:3: search_space.learning_rate: is constant (0.1); move it to params",
    ),
    (
        "n_layers: {int: [1, 50]}\n  width: {int: [1, 3]}\nsampler: grid\npruner: none",
        "7:1: sampler: the grid has 150 cells and budget.trials is 100: the rest is not tried; "
        "raise trials or take fewer points",
    ),
    ("n_layers: {int: [1, 50]}\n  width: {int: [1, 2]}\nsampler: grid\npruner: none", None),
    (
        "width: {int: [1, 400]}\nsampler: {tpe: {n_startup_trials: 101}}",
        "7:1: budget: trials (100) are fewer than n_startup_trials of tpe (101), which search at "
        "random; raise trials or lower n_startup_trials",
    ),
    (
        "width: {int: [1, 400]}\nsampler: {nsga2: {population_size: 200}}",
        "7:1: budget: trials (100) are fewer than population_size of nsga2 (200), which search at "
        "random; raise trials or lower population_size",
    ),
    (
        "width: {int: [1, 400]}\npruner: {asha: {min_resource: 20}}",
        "6:1: pruner: min_resource of asha (20) is not below params.epochs (20): nothing is "
        "pruned; lower it",
    ),
    (
        "width: {int: [1, 400]}\npruner: [asha, {median: {n_warmup_steps: 30}}]",
        "6:1: pruner: n_warmup_steps of median (30) is not below params.epochs (20): nothing is "
        "pruned; lower it",
    ),
    (
        "optimizer: {choice: [sgd, adam]}\n  momentum: {float: [0, 0.9]}",
        "6:3: search_space.momentum: has an effect only with `optimizer: sgd`; add "
        "`when: {optimizer: sgd}`",
    ),
    (
        "optimizer: {choice: [sgd, adam]}\n  momentum: {float: [0, 0.9], when: {optimizer: sgd}}",
        None,
    ),
    ("optimizer: {choice: [sgd]}\n  momentum: {float: [0, 0.9]}", None),
    (
        "optimizer: {choice: [sgd, adam, adamw]}\n  beta1: {float: [0, 0.9]}",
        "6:3: search_space.beta1: has an effect only with `optimizer: adam` or `optimizer: adamw`; "
        "add `when: {optimizer: [adam, adamw]}`",
    ),
    (
        "optimizer: {choice: [sgd, adamw]}\n  beta1: {float: [0, 0.9]}",
        "6:3: search_space.beta1: has an effect only with `optimizer: adam` or `optimizer: adamw`; "
        "add `when: {optimizer: adamw}`",
    ),
    (
        "width: {int: [1, 400]}\n  schedule: {choice: [constant, cosine, one_cycle]}",
        "6:3: search_space.schedule: trials with cosine or one_cycle improve late, so asha "
        "compares them with others too early; fix the schedule under params, or write "
        "`pruner: none`",
    ),
    (
        "width: {int: [1, 400]}\n  schedule: {choice: [step, one_cycle]}\n"
        "pruner: {patient: {patience: 3, wrapped: median}}",
        "6:3: search_space.schedule: trials with one_cycle improve late, so median compares them "
        "with others too early; fix the schedule under params, or write `pruner: none`",
    ),
    ("width: {int: [1, 400]}\n  schedule: {choice: [constant, step, plateau]}", None),
    ("width: {int: [1, 400]}\n  schedule: {choice: [cosine]}", None),
    ("width: {int: [1, 400]}\n  schedule: {choice: [cosine, step]}\npruner: none", None),
    ("dropout: {float: [0, 0.5], grid: 3}\nsampler: random", None),
    (
        "width: {int: [1, 100]}\nsampler: grid",
        "6:1: sampler: the default pruner asha stops most cells early; `pruner: none` trains each "
        "to its end",
    ),
    (
        "width: {int: [1, 400]}\nenqueue: [" + ", ".join(["{width: 2}"] * 101) + "]",
        "6:1: enqueue: has 101 trials and budget.trials is 100: the rest waits; raise trials",
    ),
]


@pytest.mark.parametrize(("written", "warning"), WARNED)
def test_what_is_hardly_meant_is_warned_of(written, warning, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(GOOD.replace("  learning_rate: {float: [1e-5, 1], log: true}", f"  {written}"))
    found = [
        f"{fault.line}:{fault.column}: {fault.path}: {fault.message}"
        for fault in load_study_file(path).warnings
    ]
    expected = [] if warning is None else [warning]
    assert found == expected


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_example_study_gives_cause_for_a_warning(path):
    assert load_study_file(path).warnings == ()


def test_loading_a_study_file_imports_nothing_heavy():
    heavy = "torch optuna sklearn sqlalchemy numpy"
    program = (
        "import sys; from pathlib import Path; from tuner.study_file.load import load_spec; "
        "import tuner.study_file.identity; "
        f"load_spec(Path({str(STUDIES / 'digits.yaml')!r})); "
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"objective": "{command: ./train}", "minimize": "loss", "params": "{lr: 1}"},
            "objective.command: must be a list",
        ),
        (
            {"objective": "{function: train.py:train}", "minimize": "loss"},
            "objective.function: unk",
        ),
        (
            {"objective": "{data: {sklearn: digits}, model: mlp, metric: [f1]}", "minimize": "f1"},
            "objective.metric: unknown key",
        ),
        (
            {"objective": "{data: {sklearn: digits}, model: rnn}", "params": "{channels: 3}"},
            "objective.model: unknown model 'rnn'",
        ),
        ({"params": "{optimizer: rmsprob, momentum: 0.9}"}, "params.optimizer: unknown value"),
        (
            {
                "search_space": "{optimizer: {choice: [rmsprob, adam]}, "
                "momentum: {float: [0, 0.9], when: {optimizer: rmsprob}}}"
            },
            "search_space.optimizer.choice[0]: unknown value 'rmsprob'",
        ),
        (
            {
                "search_space": "{schedules: {choice: [cosine]}, width: {int: [1, 9]}}",
                "enqueue": "[{schedules: cosine}]",
            },
            "search_space.schedules: unknown trainer parameter",
        ),
        ({"sampler": "gird", "budget": None}, "sampler: unknown sampler 'gird'"),
        ({"sampler": "{gird: {}}", "budget": None}, "sampler.gird: unknown sampler 'gird'"),
        ({"pruner": "{percentile: {percent: 25}}"}, "pruner.percentile.percent: unknown key"),
        ({"pruner": "{threshold: {max: 3}}"}, "pruner.threshold.max: unknown key"),
    ],
)
def test_what_is_refused_brings_no_second_fault(changes, fault, tmp_path):
    sections = {
        "name": "x",
        "objective": "{data: {sklearn: digits}, model: mlp}",
        "minimize": "val_loss",
        "search_space": "{n_layers: {int: [1, 3]}}",
        "budget": "{trials: 3}",
    }
    path = tmp_path / "study.yaml"
    written = {key: value for key, value in (sections | changes).items() if value is not None}
    path.write_text("".join(f"{key}: {value}\n" for key, value in written.items()))
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    (only,) = caught.value.faults
    assert f"{only.path}: {only.message}".startswith(fault)
