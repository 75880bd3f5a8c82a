"""The arguments of the commands about a study file."""

import argparse

from tuner.cli.parser import arguments
from tuner.cli.parser.command import Commands, add_command, add_json, add_log_format


def add_study_files(commands: Commands) -> None:
    """Add init, check, schema and run."""
    _add_beginning(commands)
    _add_looking(commands)
    _add_working(commands)


def _add_working(commands: Commands) -> None:
    run = add_command(
        commands,
        "run",
        "run",
        "create or resume the study and work on it with this machine's devices",
        "tuner run studies/digits.yaml --workers 2",
    )
    run.add_argument(
        "study_file",
        nargs="?",
        type=arguments.text,
        metavar="STUDY.yaml",
        help="the study file; with --study only needed for your own code",
    )
    run.add_argument(
        "--study",
        type=arguments.text,
        metavar="NAME",
        help="work on a study of the database without its file, such as one of tuner confirm",
    )
    run.add_argument(
        "--workers",
        type=arguments.workers,
        metavar="N",
        help="shares of the CPU on a machine without GPUs (default: one per core); each process of "
        "a trial takes one",
    )
    _add_set(run)
    add_log_format(run)
    add_json(run, "one JSON object a line")
    _add_agent(commands)


def _add_beginning(commands: Commands) -> None:
    init = add_command(
        commands,
        "init",
        "init",
        "write a study file that runs on a CPU in under a minute, and its schema for editors",
        "tuner init my-study --code",
        storage=False,
    )
    init.add_argument(
        "folder", nargs="?", default=".", type=arguments.text, metavar="DIR", help="default: here"
    )
    init.add_argument(
        "--code", action="store_true", help="add a train.py with your own training function"
    )
    init.add_argument(
        "--lightning",
        action="store_true",
        help="add a train.py for Lightning's trainer (needs tuner[lightning])",
    )
    init.add_argument(
        "--hf",
        action="store_true",
        help="add a train.py for the trainer of Hugging Face (needs tuner[hugging-face])",
    )
    init.add_argument(
        "--command",
        dest="program",  # `command` is the name of the command itself
        type=arguments.text,
        metavar="TEXT",
        help="run a program's --help, such as 'python main.py', and search its options",
    )
    add_json(init)


def _add_looking(commands: Commands) -> None:
    check = add_command(
        commands,
        "check",
        "check",
        "validate a study file and look at its data without running its code; show its settings, "
        "the columns of its data and its first params",
        "tuner check studies/digits.yaml --set budget.trials=20",
        storage=False,
    )
    check.add_argument(
        "study_file", type=arguments.text, metavar="STUDY.yaml", help="the study file"
    )
    _add_set(check)
    check.add_argument(
        "--smoke",
        action="store_true",
        help="train one trial for one step, outside any study; also looks at data that a callable "
        "of your own loads",
    )
    check.add_argument(
        "--baseline",
        action="store_true",
        help="fit simple models of scikit-learn to the training rows, and show what they reach on "
        "the validation rows",
    )
    check.add_argument(
        "--verify",
        action="store_true",
        help="hash all data files again instead of trusting their size and time of change",
    )
    add_json(check)
    schema = add_command(
        commands,
        "schema",
        "schema",
        "print the JSON Schema of study files, for editors",
        "tuner schema   # > study.schema.json",
        storage=False,
    )
    add_json(schema, "it in one line")


def _add_agent(commands: Commands) -> None:
    agent = add_command(
        commands,
        "agent",
        "agent",
        "work on all studies of the database, by their priority",
        "tuner agent --studies studies/",
    )
    agent.add_argument(
        "--studies",
        type=arguments.text,
        metavar="DIR",
        help="the folder of study files, for studies with code of your own (default: only studies "
        "without)",
    )
    agent.add_argument(
        "--workers",
        type=arguments.workers,
        metavar="N",
        help="shares of the CPU on a machine without GPUs (default: one per core)",
    )
    agent.add_argument(
        "--until-done",
        action="store_true",
        help="end when no study has work for this machine (default: wait for more)",
    )
    add_log_format(agent)


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=arguments.text,
        metavar="KEY=VALUE",
        help="replace a value of the study file, such as budget.trials=20; repeatable",
    )
