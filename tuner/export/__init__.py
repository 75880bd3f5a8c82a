"""Exports of a study: the best config, its final training, the report."""
