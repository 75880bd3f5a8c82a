"""Templates: every value is escaped, and an unknown name is an error."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tuner.dashboard import words
from tuner.dashboard.assets import all_assets
from tuner.results.actions import trial_actions
from tuner.study.command_line import study_command
from tuner.study.trial import TRIAL_STATES, TrialState


@cache
def environment() -> Environment:
    """Return the environment with the filters that templates use."""
    env = Environment(
        loader=PackageLoader("tuner.dashboard", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "clean": words.clean,
        "num": words.number,
        "param": words.param,
        "exact": words.exact,
        "duration": words.duration,
        "gib": words.gib,
        "ago": words.ago,
        "moment": words.moment,
        "clock": words.clock,
        "percent": words.percent,
        "yaml": words.as_yaml,
    }
    env.globals["plural"] = words.plural
    env.globals["study_command"] = study_command
    env.globals |= {"TrialState": TrialState, "TRIAL_STATES": TRIAL_STATES}
    env.globals["trial_actions"] = trial_actions
    env.globals["version"] = all_assets().version
    return env


def render(template: str, **values: Any) -> str:
    """Render a page or a part of one."""
    return environment().get_template(template).render(**values)
