"""`python -m tuner.cli`: the same as the `tuner` script."""

import sys

from tuner.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
