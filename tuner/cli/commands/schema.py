"""`tuner schema`."""

import argparse
import json

from tuner.study_file.schema.document import build_schema


def execute(options: argparse.Namespace) -> int:
    """Print the JSON Schema of study files."""
    print(json.dumps(build_schema(), indent=None if options.json else 2))
    return 0
