"""`tuner status STUDY --watch`."""

import argparse


def watch(options: argparse.Namespace) -> int:
    """Draw the live screen until the study ends or Ctrl-C."""
    raise NotImplementedError(options)
