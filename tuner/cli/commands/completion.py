"""`tuner completion bash|zsh|fish`, and the answer to a shell that completes."""

import argparse

import argcomplete
from argcomplete.shell_integration import shellcode


def execute(options: argparse.Namespace) -> int:
    """Print the shell's code, for `eval "$(tuner completion bash)"` in its start file."""
    print(shellcode(["tuner"], shell=options.shell))
    return 0


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer and end the process; names of studies, which need a database, are not completed."""
    argcomplete.autocomplete(parser, always_complete_options=False)
