"""The arguments of the commands from the best trial to a model."""

import argparse

from tuner.cli.parser import arguments
from tuner.cli.parser.command import (
    Commands,
    add_by,
    add_command,
    add_json,
    add_log_format,
    add_study,
)


def add_shipping(commands: Commands) -> None:
    """Add export, train, predict, confirm and reproduce."""
    _add_export(commands)
    _add_train(commands)
    _add_predict(commands)
    _add_confirm(commands)
    _add_reproduce(commands)


def _add_output(parser: argparse.ArgumentParser, metavar: str, what: str) -> None:
    parser.add_argument("-o", "--output", type=arguments.text, metavar=metavar, help=what)


def _add_export(commands: Commands) -> None:
    export = add_command(
        commands,
        "export",
        "export",
        "write the best trial as a self-contained config for its final training",
        "tuner export digits -o best.yaml",
    )
    add_study(export)
    _add_output(export, "FILE", "the file (default: standard output)")
    which = export.add_mutually_exclusive_group()
    which.add_argument(
        "--trial",
        type=arguments.trial_number,
        metavar="N",
        help="export this trial instead of the best one",
    )
    which.add_argument(
        "--top",
        type=arguments.at_least_one,
        metavar="K",
        help="export the K best trials; with -o best.yaml: best-1.yaml, best-2.yaml, ...",
    )
    add_by(which)
    which.add_argument(
        "--confirmed",
        dest="by",
        action="store_const",
        const="confirmed",
        help="the same as --by confirmed",
    )
    export.add_argument(
        "--format",
        choices=["yaml", "json", "env"],
        default="yaml",
        metavar="yaml|json|env",
        help="the format (default: yaml, for tuner train)",
    )
    export.add_argument(
        "--weights",
        action="store_true",
        help="write the weights of the trial, too, into a file next to it (checkpoints.keep_best)",
    )
    _add_study_file(export)
    add_json(export, "the written files")


def _add_confirm(commands: Commands) -> None:
    confirm = add_command(
        commands,
        "confirm",
        "confirm",
        "train the best params again with fresh seeds; show which trial is probably the best",
        "tuner confirm digits --top 5 --seeds 5",
    )
    add_study(confirm)
    confirm.add_argument(
        "--top",
        type=arguments.at_least_one,
        default=5,
        metavar="K",
        help="number of trials (default: 5)",
    )
    confirm.add_argument(
        "--seeds",
        type=arguments.seeds,
        default=5,
        metavar="S",
        help="number of fresh seeds per trial (default: 5)",
    )
    confirm.add_argument(
        "--name",
        type=arguments.text,
        metavar="NAME",
        help="name of the confirming study (default: STUDY-confirm); for tuner run --study NAME",
    )
    _add_study_file(confirm)
    confirm.add_argument(
        "--workers", type=arguments.workers, metavar="N", help="CPU workers, as for tuner run"
    )
    confirm.add_argument(
        "--show", action="store_true", help="train nothing; show the results so far"
    )
    add_log_format(confirm)
    add_json(confirm)


def _add_reproduce(commands: Commands) -> None:
    reproduce = add_command(
        commands,
        "reproduce",
        "reproduce",
        "train a trial again from its record and compare curve and value",
        "tuner reproduce digits 12",
    )
    add_study(reproduce)
    reproduce.add_argument("number", type=arguments.trial_number, metavar="N", help="the trial")
    reproduce.add_argument(
        "--suggestion",
        action="store_true",
        help="train nothing: derive the sampler's suggestion again",
    )
    _add_study_file(reproduce)
    add_json(reproduce)


def _add_study_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file",
        type=arguments.text,
        metavar="STUDY.yaml",
        help="the study file, if the objective is your own code: it names the code to run",
    )


def _add_predict(commands: Commands) -> None:
    predict = add_command(
        commands,
        "predict",
        "predict",
        "predict the rows of a file with the model of a final training, without a database",
        "tuner predict churn-final new.csv -o predictions.csv",
        storage=False,
    )
    predict.add_argument(
        "model", type=arguments.text, metavar="DIR", help="the folder of tuner train"
    )
    predict.add_argument(
        "file",
        type=arguments.text,
        metavar="FILE",
        help="a CSV or Parquet file with the columns of the model card; for a model of images a "
        "file or a folder",
    )
    _add_output(predict, "OUT.csv", "the file of predictions (default: standard output)")
    predict.add_argument(
        "--lenient",
        action="store_true",
        help="fill in missing values that no training row had, and take new categories for none",
    )
    for name, what in (
        ("delimiter", "between two cells of a CSV file"),
        ("encoding", "of a CSV file"),
        ("decimal", "the decimal point of a CSV file"),
    ):
        predict.add_argument(
            f"--{name}",
            type=arguments.text,
            metavar="TEXT",
            help=f"{what} (default: that of the data that the model was trained on)",
        )
    add_json(predict)


def _add_train(commands: Commands) -> None:
    train = add_command(
        commands,
        "train",
        "train",
        "train an exported config to its end and evaluate the test split, without a database",
        "tuner train best.yaml -o digits-final",
        storage=False,
    )
    train.add_argument(
        "config", type=arguments.text, metavar="BEST.yaml", help="a config of tuner export"
    )
    _add_output(train, "DIR", "the folder of the model (default: NAME-final)")
    train.add_argument(
        "--on",
        choices=["train", "train+val"],
        default="train",
        metavar="train|train+val",
        help="the rows to train on; train+val trains up to the best epoch of the search",
    )
    train.add_argument(
        "--set",
        action="append",
        default=[],
        type=arguments.text,
        metavar="KEY=VALUE",
        help="replace a value of the config, such as epochs=100; repeatable",
    )
    train.add_argument(
        "--data",
        type=arguments.text,
        metavar="FILE",
        help="the file or folder of the data, if it is not where the config names it; a file of "
        "test rows is expected in the same folder",
    )
    _add_machine_of_train(train)


def _add_machine_of_train(train: argparse.ArgumentParser) -> None:
    train.add_argument(
        "--device",
        type=arguments.text,
        metavar="D",
        help="cpu or cuda:N (default: a GPU if there is one)",
    )
    train.add_argument(
        "--threads",
        type=arguments.at_least_one,
        metavar="N",
        help="threads on a CPU (default: as many as the trial had)",
    )
    train.add_argument(
        "--allow-code",
        action="append",
        default=[],
        type=arguments.modules,
        metavar="MODULE[,MODULE]",
        help="modules that the config may name although they are not below its folder",
    )
    train.add_argument(
        "--allow-command",
        action="store_true",
        help="run the command that the config names; it is printed first",
    )
    train.add_argument(
        "--from-weights",
        action="store_true",
        help="continue from the exported weights instead of training from the start",
    )
    add_json(train, "the metrics")
