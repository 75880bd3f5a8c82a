"""`tuner enqueue STUDY name=value ...`."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from tuner.cli.studies import open_study
from tuner.cli.text.as_json import render_json
from tuner.cli.text.control import render_enqueued
from tuner.errors import Fault, StudyFileError, UsageError
from tuner.storage.control.given_params import check_params
from tuner.study.trial import Params, ParamValue
from tuner.study_file.text.faults import Faults, quote
from tuner.study_file.text.source import MAX_BYTES, read_source
from tuner.study_file.text.yaml_nodes import (
    BrokenNode,
    ListNode,
    MapNode,
    Node,
    ScalarNode,
    compose,
)
from tuner.study_file.text.yaml_text import core_value


def execute(options: argparse.Namespace) -> int:
    """Enqueue the user's own trials, to be trained next."""
    if bool(options.params) == bool(options.file):
        raise UsageError("tuner enqueue needs name=value ..., or --file with a mapping or a list")
    given = read_trials(options.file) if options.file else [parse_pairs(options.params)]
    with open_study(options.storage, options.study) as study:
        trials = [check_params(params, study.spec) for params in given]
        enqueued = study.control.enqueue(trials)
    if options.json:
        print(render_json({"study": options.study, **asdict(enqueued)}))
    else:
        needs_file = study.spec.needs_study_file
        print(render_enqueued(options.study, enqueued, needs_study_file=needs_file))
    return 0


def parse_pairs(words: list[str]) -> Params:
    """Parse `name=value` as a study file reads the value; raises `UsageError`."""
    params: dict[str, ParamValue] = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not sign or not name:
            raise UsageError(f"{quote(word)}: write name=value, such as learning_rate=1e-3")
        if name in params:
            raise UsageError(f"{name} is given twice")
        is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
        params[name] = text[1:-1] if is_quoted else core_value(text)
    return params


def read_trials(file: str) -> list[Params]:
    """Read a mapping of params or a list of them; raises `StudyFileError` with every fault."""
    name = "standard input" if file == "-" else file
    text = _read_input() if file == "-" else read_source(Path(file))
    faults = Faults(text.split("\n"))
    node = compose(text, faults)
    nodes = node.items if isinstance(node, ListNode) else (node,)
    trials = [_params(part, faults) for part in nodes if part is not None]
    if not trials and not faults:
        faults.add(1, 1, "", "holds no trial; write a mapping such as learning_rate: 0.001")
    if faults:
        raise StudyFileError(name, faults.first(), faults.n_more())
    return trials


def _read_input() -> str:
    content = sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else b""
    try:
        if len(content) > MAX_BYTES:
            raise UsageError("standard input is larger than 1 MB")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        fault = Fault(line=1, column=1, path="", message="is not UTF-8", source="")
        raise StudyFileError("standard input", [fault]) from None


def _params(node: Node, faults: Faults) -> Params:
    params: dict[str, ParamValue] = {}
    if not isinstance(node, MapNode):
        if not isinstance(node, BrokenNode):
            faults.add(node.line, node.column, "", "must be a mapping of params to values")
        return params
    for key, value in node.entries:
        if isinstance(value, ScalarNode):
            params[key.text] = value.value
        elif not isinstance(value, BrokenNode):
            faults.add(value.line, value.column, key.text[:80], "must be one value")
    return params
