"""Optuna's tables, in an order in which each is filled after those that it refers to."""

OPTUNA_TABLES = (
    "alembic_version",
    "version_info",
    "studies",
    "study_directions",
    "study_user_attributes",
    "study_system_attributes",
    "trials",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_heartbeats",
)
