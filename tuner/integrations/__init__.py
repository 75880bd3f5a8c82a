"""Callbacks that connect a `tuner.Trial` to the trainers of other libraries."""
