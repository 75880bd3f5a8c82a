"""The arguments of the commands that steer a study."""

from tuner.cli.parser import arguments
from tuner.cli.parser.command import Commands, add_command, add_json, add_study


def add_control(commands: Commands) -> None:
    """Add stop, pause, resume, extend, retry, enqueue, priority, drain, undrain, delete."""
    for name, summary in {
        "stop": "end the study: running trials end PRUNED, no new ones begin",
        "pause": "save and release all trials; agents wait",
        "resume": "continue a paused, stopped or halted study",
    }.items():
        command = add_command(commands, name, "run_state", summary, f"tuner {name} digits")
        add_study(command)
        if name != "resume":
            command.add_argument(
                "--reason", type=arguments.text, default="", metavar="TEXT", help="for other users"
            )
        add_json(command)
    _add_extend(commands)
    retry = add_command(
        commands,
        "retry",
        "retry",
        "try failed trials again: new trials with the same params, beyond the budget",
        "tuner retry digits --failed",
    )
    add_study(retry)
    retry.add_argument(
        "numbers", nargs="*", type=arguments.trial_number, metavar="N", help="FAIL trials"
    )
    retry.add_argument(
        "--failed", action="store_true", help="all FAIL trials that have no retry yet"
    )
    add_json(retry)
    _add_enqueue(commands)
    _add_priority(commands)
    _add_drains(commands)
    _add_delete(commands)


def _add_priority(commands: Commands) -> None:
    priority = add_command(
        commands,
        "priority",
        "priority",
        "set a study's priority among the studies of tuner agent: higher ones go first",
        "tuner priority digits 10",
    )
    add_study(priority)
    priority.add_argument(
        "priority", type=arguments.priority, metavar="N", help="from -1000 to 1000 (0 by default)"
    )
    add_json(priority)


def _add_delete(commands: Commands) -> None:
    delete = add_command(
        commands,
        "delete",
        "delete",
        "delete a study with all its trials permanently",
        "tuner delete digits --yes",
    )
    add_study(delete)
    delete.add_argument("--yes", action="store_true", help="do not ask")
    delete.add_argument(
        "--file",
        type=arguments.text,
        metavar="STUDY.yaml",
        help="delete its checkpoints in the store that this study file names as well",
    )
    delete.add_argument("--force", action="store_true", help="even while agents work on it")
    add_json(delete)


def _add_extend(commands: Commands) -> None:
    extend = add_command(
        commands,
        "extend",
        "extend",
        "raise the study's limits, to N or by +N",
        "tuner extend digits --trials +50 --time 2h",
    )
    add_study(extend)
    for option, kind, metavar, what in (
        ("--trials", arguments.amount, "N|+N", "trials of all machines together"),
        ("--epochs", arguments.amount, "N|+N", "epochs (steps) trained in all trials"),
        ("--time", arguments.duration, "D|+D", "time in which agents work, such as 12h"),
        ("--gpu-hours", arguments.hours, "H|+H", "hours of device time"),
        ("--target", arguments.target, "V", "end when a trial reaches this value"),
    ):
        extend.add_argument(option, type=kind, metavar=metavar, help=what)
    add_json(extend)


def _add_drains(commands: Commands) -> None:
    for name, summary, example in (
        (
            "drain",
            "free a machine or one device: its trials are released, and no new ones begin there",
            "tuner drain digits node1 --device gpu:0",
        ),
        ("undrain", "let agents work on a drained machine again", "tuner undrain digits node1"),
    ):
        command = add_command(commands, name, "drain", summary, example)
        command.add_argument(
            "study", type=arguments.text, nargs="?", metavar="STUDY", help="the study's name"
        )
        command.add_argument(
            "host",
            type=arguments.text,
            metavar="HOST",
            help="the machine, as tuner status names it, or the id of one of its agents",
        )
        command.add_argument(
            "--device", type=arguments.text, metavar="NAME", help="one device, such as gpu:0"
        )
        command.add_argument(
            "--all-studies",
            action="store_true",
            help="for all studies of the database, later ones too, instead of STUDY",
        )
        if name == "drain":
            command.add_argument(
                "--reason", type=arguments.text, default="", metavar="TEXT", help="for other users"
            )
            command.add_argument("--yes", action="store_true", help="do not ask")
        add_json(command)


def _add_enqueue(commands: Commands) -> None:
    enqueue = add_command(
        commands,
        "enqueue",
        "enqueue",
        "add a trial with your own params, trained next; missing params are drawn",
        "tuner enqueue digits learning_rate=1e-3 n_layers=2",
    )
    add_study(enqueue)
    enqueue.add_argument(
        "params", nargs="*", type=arguments.text, metavar="NAME=VALUE", help="searched params"
    )
    enqueue.add_argument(
        "--file",
        type=arguments.text,
        metavar="F.yaml",
        help="file with a mapping of params, or a list of them (-: standard input)",
    )
    add_json(enqueue)
