"""Figures: each a function of a study; screens and `tuner report` draw the same ones."""
