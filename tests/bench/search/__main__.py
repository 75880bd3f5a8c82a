"""The bench of issue 17: which search finds the best trial with the same epochs (README.md)."""

from tests.bench.search.command import main

if __name__ == "__main__":
    main()
