"""Params and search space: ranges, conditions, grids, enqueued trials."""
