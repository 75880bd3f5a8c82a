"""Figures: each is a function of a study; screens and `tuner report` draw the same ones."""
