"""`workers.gpus_per_trial` and `workers.processes_per_trial`: which studies may have them."""

from pathlib import Path

import pytest

from tuner.errors import StudyFileError
from tuner.study_file.identity import (
    compare_specs,
    dump_spec,
    parse_spec,
    render_differences,
)
from tuner.study_file.kinds.command.placeholders import find_python_program
from tuner.study_file.load import load_spec
from tuner.study_file.model import StudySpec, Workers

STUDY = """\
name: large
objective: {objective}
minimize: val_loss
search_space: {{lr: {{float: [1e-3, 1], log: true}}}}
budget: {{trials: 5}}
workers: {{{workers}}}
"""
COMMAND = "{{command: [{words}, --lr, '{{lr}}']}}"


def load(folder: Path, workers: str, objective: str = "mylab.vision:train") -> StudySpec:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(objective=objective, workers=workers))
    return load_spec(path)


@pytest.mark.parametrize(
    ("workers", "n_ranks"),
    [
        ("processes: 3", 1),
        ("gpus_per_trial: 4", 4),
        ("gpus_per_trial: 4, processes_per_trial: auto", 4),
        ("gpus_per_trial: 4, processes_per_trial: 4", 4),
        ("gpus_per_trial: 4, processes_per_trial: 1, preload: true", 1),
        ("processes_per_trial: 2", 2),
    ],
)
def test_a_trial_has_one_process_per_gpu_unless_the_file_sets_it(
    workers: str, n_ranks: int, tmp_path: Path
) -> None:
    assert load(tmp_path, workers).workers.n_ranks == n_ranks


def test_a_machine_may_use_another_number_with_a_notice(tmp_path: Path) -> None:
    stored = parse_spec(dump_spec(load(tmp_path, "gpus_per_trial: 4")))
    compared = compare_specs(stored, load(tmp_path, "gpus_per_trial: 2"))
    assert not compared.identity
    assert render_differences(compared.notices) == "workers.gpus_per_trial: stored 4, given 2"
    alone = compare_specs(stored, load(tmp_path, "gpus_per_trial: 4, processes_per_trial: 1"))
    line = "workers.processes_per_trial: stored auto, given 1"
    assert render_differences(alone.notices) == line


def test_a_spec_from_before_these_keys_has_one_process_per_trial() -> None:
    assert Workers.model_validate({"lanes": None, "processes": 2}).n_ranks == 1


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ("python main.py --lr 1", 1),
        ("{python} main.py -c x", 1),
        ("/opt/env/bin/python3.12 -u -X dev -W once main.py", 6),
        ("python -m pkg.train -c 1", 1),
        ("python -u -m pkg.train", 2),
        ("python {script}", 1),
        ("python", None),
        ("python -u", None),
        ("python -m", None),
        ("python -c pass", None),
        ("python -uc pass", None),
        ("python -um pkg.train", None),
        ("python -mpkg.train", None),
        ("python - main.py", None),
        ("python -- main.py", None),
        ("node main.js", None),
        ("bash main.sh", None),
        ("uv run python main.py", None),
        ("accelerate launch main.py", None),
    ],
)
def test_the_program_of_a_python_command(words: str, start: int | None) -> None:
    assert find_python_program(words.split()) == start


@pytest.mark.parametrize("words", ["bash, main.sh", "python, -c, pass", "accelerate, launch, a.py"])
def test_a_command_without_a_python_program_starts_its_own_ranks(
    words: str, tmp_path: Path
) -> None:
    objective = COMMAND.format(words=words)
    with pytest.raises(StudyFileError) as caught:
        load(tmp_path, "gpus_per_trial: 2", objective)
    (fault,) = caught.value.faults
    assert fault.path == "workers.gpus_per_trial"
    assert fault.message.endswith("for a launcher of your own write `processes_per_trial: 1`")
    own = load(tmp_path, "gpus_per_trial: 2, processes_per_trial: 1", objective)
    assert own.workers.n_ranks == 1


def test_a_fault_of_the_objective_hides_no_fault_of_the_ranks(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError) as caught:
        load(tmp_path, "gpus_per_trial: 2, processes: 2", "{command: [python, '{']}")
    paths = [fault.path for fault in caught.value.faults]
    assert paths == ["objective.command[1]", "workers.processes"]


def test_a_missing_objective_is_no_fault_of_the_ranks(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = STUDY.format(objective="x", workers="gpus_per_trial: 2")
    path.write_text(text.replace("objective: x\n", ""))
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    assert "workers.gpus_per_trial" not in {fault.path for fault in caught.value.faults}
