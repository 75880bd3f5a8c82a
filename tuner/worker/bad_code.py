"""What is wrong with code of the user's own before it is run; loads no torch."""


class BadCode(Exception):
    """The user's code cannot be had; the message says why and what to do."""
