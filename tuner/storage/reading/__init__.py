"""Reads of a study for display."""
