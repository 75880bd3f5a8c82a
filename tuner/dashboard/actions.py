"""Changes through a page, if actions are on: one JSON object each, recorded with their origin."""

import json
import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from tuner.dashboard import words
from tuner.dashboard.serving import dashboard_of, status_of
from tuner.errors import TunerError, UsageError
from tuner.results.actions import Action
from tuner.storage.connections.connection import Database
from tuner.storage.control.commands import Control
from tuner.storage.control.given_params import check_params
from tuner.storage.control.trial_stop import note_event, stop_trial
from tuner.storage.reading.rows import find_row
from tuner.study.control import Amount, Extension
from tuner.study.limits import limit_name
from tuner.study.trial import Params, ParamValue
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import StudySpec
from tuner.study_file.text.durations import parse_duration
from tuner.study_file.text.faults import quote
from tuner.study_file.text.yaml_text import core_value

_log = logging.getLogger(__name__)
_MAX_TEXT = 500
_MAX_AMOUNT = 1e15
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # which no database takes


@dataclass(frozen=True, kw_only=True)
class Target:
    """The study of an action."""

    database: Database
    study_id: int
    spec: StudySpec
    who: str  # where the request came from

    @property
    def control(self) -> Control:
        return Control(self.database, self.study_id, self.spec)


async def act(request: Request) -> Response:
    """Handle POST of one action; answer with the result or the error, in one sentence."""
    name = request.path_params["action"]
    try:
        given = await _body(request)
        if name not in ACTIONS:
            raise UsageError(f"no action {quote(name[:80])}; there are {', '.join(ACTIONS)}")
        address = request.client.host if request.client else "somewhere"
        database, study = dashboard_of(request).database, request.path_params["name"]
        told = await to_thread.run_sync(_perform, database, study, name, given, address)
    except TunerError as error:
        return JSONResponse({"error": words.clean(error)}, status_of(error))
    except ClientDisconnect:
        return JSONResponse({"error": "the request is too long"}, 413)
    return JSONResponse({"done": told})


async def _body(request: Request) -> Mapping[str, Any]:
    try:
        given = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise UsageError("the request is not JSON") from error
    if not isinstance(given, dict):
        raise UsageError("the request is not a JSON object")
    return given


def _perform(
    database: Database, study: str, name: str, given: Mapping[str, Any], address: str
) -> str:
    """Perform the action; call it in a thread."""
    with database.reading() as connection:
        row = find_row(connection, study)
    target = Target(
        database=database,
        study_id=row.study_id,
        spec=parse_spec(row.spec),
        who=f"the dashboard, from {address}",
    )
    told = ACTIONS[name](target, given)
    note_event(database, row.study_id, "dashboard", f"{told} (from {address})")
    _log.info("an action", extra={"action": name, "study": study, "origin": address})
    return told


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key, "")
    if not isinstance(value, str) or len(value) > _MAX_TEXT or _NO_TEXT.search(value):
        raise UsageError(f"{key} is a text of at most {_MAX_TEXT} characters")
    return value.strip()


def _number(given: Mapping[str, Any]) -> int:
    number = given.get("number")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**31:
        raise UsageError("number is a trial's number")
    return number


def _pause(target: Target, given: Mapping[str, Any]) -> str:
    target.control.pause(target.who, _text(given, "reason"))
    return "pause"


def _resume(target: Target, given: Mapping[str, Any]) -> str:
    target.control.resume(target.who)
    return "resume"


def _stop(target: Target, given: Mapping[str, Any]) -> str:
    target.control.stop(target.who, _text(given, "reason"))
    return "stop"


def _extend(target: Target, given: Mapping[str, Any]) -> str:
    noun = target.spec.step_noun
    amounts = {name: _amount(name, _text(given, name), noun) for name in _AMOUNTS}
    wanted = Extension(**{name: amount for name, amount in amounts.items() if amount is not None})
    if wanted == Extension():
        raise UsageError("no limit is given")
    target.control.extend(wanted)
    raised = [f"{limit_name(n, noun)} {_text(given, n)}" for n, a in amounts.items() if a]
    return f"extend {', '.join(raised)}"


_AMOUNTS = ("trials", "steps", "seconds", "device_seconds", "target")


def _amount(name: str, text: str, step_noun: str) -> Amount | None:
    """Parse `200`, `+50`, `12h`, or `+0.5` device hours."""
    if not text:
        return None
    is_more = text.startswith("+") and name != "target"
    digits = text.removeprefix("+") if is_more else text
    value: float | None
    match name:
        case "trials" | "steps":
            value = float(digits) if re.fullmatch(r"[0-9]{1,15}", digits) else None
        case "seconds":
            value = parse_duration(digits)
        case _:
            value = _float(digits)
            value = value * 3600 if value is not None and name == "device_seconds" else value
    is_good = value is not None and (name == "target" or 0 < value < _MAX_AMOUNT)
    if value is None or not is_good:
        word, example = limit_name(name, step_noun), _EXAMPLES[name]
        raise UsageError(f"{quote(text[:40])} is no amount for {word}, such as {example}")
    return Amount(value=value, is_more=is_more)


_EXAMPLES = {
    "trials": "+50",
    "steps": "+1000",
    "seconds": "+2h",
    "device_seconds": "+10",
    "target": "0.15",
}


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _stop_trial(target: Target, given: Mapping[str, Any]) -> str:
    number = _number(given)
    stop_trial(target.database, target.study_id, number, f"stopped by {target.who}")
    return f"stop trial {number}"


def _retry(target: Target, given: Mapping[str, Any]) -> str:
    number = _number(given)
    enqueued = target.control.retry([number])
    return f"retry trial {number} as {enqueued.numbers[0]}"


def _enqueue(target: Target, given: Mapping[str, Any]) -> str:
    params = check_params(parse_pairs(_text(given, "params")), target.spec)
    enqueued = target.control.enqueue([params])
    return f"enqueue trial {enqueued.numbers[0]}"


def parse_pairs(text: str) -> Params:
    """Parse `learning_rate=1e-3, n_layers=2`, or a line each; raises `UsageError`."""
    params: dict[str, ParamValue] = {}
    for word in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
        name, sign, value = (part.strip() for part in word.partition("="))
        if not sign or not name or not value:
            raise UsageError(f"{quote(word)}: write name=value, such as learning_rate=1e-3")
        if name in params:
            raise UsageError(f"{quote(name)} is given twice")
        is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        params[name] = value[1:-1] if is_quoted else core_value(value)
    if not params:
        raise UsageError("no params are given; write name=value, such as learning_rate=1e-3")
    return params


ACTIONS: Mapping[str, Callable[[Target, Mapping[str, Any]], str]] = {
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
    Action.STOP: _stop,
    Action.EXTEND: _extend,
    Action.STOP_TRIAL: _stop_trial,
    Action.RETRY: _retry,
    Action.ENQUEUE: _enqueue,
}
