"""Planned parts of a study file that this version refuses, and their present alternatives.

They are refused because accepted and ignored keys would mislead; each entry goes when its feature
comes.
"""

from collections.abc import Mapping

# Not planned at all, but an easy mistake with a safe way out.
STUDY_HINTS: Mapping[str, str] = dict.fromkeys(
    ("storage", "database", "url", "db"),
    "a study file holds no database URL; use --storage or TUNER_STORAGE",
)

TRIAL: Mapping[str, str] = {
    "resource": "remove it; one report counts one step",
    "seeds": "remove it; every trial has one seed",
}
