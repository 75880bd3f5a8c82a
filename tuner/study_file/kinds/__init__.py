"""The kinds of objectives, as a study file writes them and the spec stores them.

A kind has a part of the same name in `worker/kinds` and in `export/kinds`.
"""
