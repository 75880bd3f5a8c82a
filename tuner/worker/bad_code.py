"""Errors in the user's own code that are found before it runs; loads no torch."""


class BadCode(Exception):
    """The user's code cannot be loaded; the message states the reason and the fix."""
