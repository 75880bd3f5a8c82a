"""`tuner agent`."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.agent.devices import list_devices
from tuner.agent.identity import build_identity
from tuner.cli.database import open_named
from tuner.cli.screen.log_lines import collect_logs, machine_line, write_line
from tuner.cli.text.words import clean, count, flat
from tuner.fleet.machine_agent import MachineAgent, Tell
from tuner.fleet.study_files import StudyFiles
from tuner.signals import exit_code
from tuner.storage.connections.sessions import Session


def execute(options: argparse.Namespace) -> int:
    """Work on the studies of the database until a signal comes."""
    tell: Tell = _tell
    if options.log_format == "json":
        collect_logs()
        tell = _tell_json
    files = StudyFiles(folder=None if options.studies is None else Path(options.studies))
    devices = list_devices(options.workers, 1)
    units = [device.name for device in devices]
    given = [] if options.storage is None else ["--storage", options.storage]
    here = build_identity(units)
    has_gpus = bool(devices[0].uuids)
    if not has_gpus:  # on GPUs the agents of the studies find the same ones
        given += ["--workers", str(len(units))]
    with open_named(options.storage) as database:
        session = Session(database)
        try:
            tell(None, f"{count(len(units), 'device')}: {', '.join(units)}", None)
            stopped_by = MachineAgent(
                units=units,
                has_gpus=has_gpus,
                host=here.host,
                boot=here.boot,
                session=session,
                files=files,
                options=given,
                tell=tell,
                until_done=options.until_done,
            ).run()
        finally:
            session.close()
    return 0 if stopped_by == 0 else exit_code(stopped_by)


def _tell(study: str | None, text: str, document: Mapping[str, Any] | None) -> None:
    """Print a line, with the study in front; the begin of a trial is not worth one."""
    if document is not None and document.get("event") == "TrialStarted":
        return
    where = "" if study is None else f"{study}: "
    print(flat(clean(f"{where}{text}")), file=sys.stderr, flush=True)


def _tell_json(study: str | None, text: str, document: Mapping[str, Any] | None) -> None:
    """Print a log line; those of the studies' agents as they are."""
    if document is None:
        machine_line(study, text)
    else:
        write_line(dict(document))
