"""Figures: one file per plot."""
