"""What tuner adds to a program, per trial and per report, against running the program alone.

The same pairs as in `function_overhead.py`, for `objective: {command: ...}`: alone, the program is
started as often by a loop. Its reports are lines of output that a pattern matches.

usage: python -m tests.bench.command_overhead, with the options of `function_overhead.py`
"""

import sys
import time

from tests.bench import function_overhead
from tests.bench.function_overhead import Bench

PROGRAM = """\
import sys
epochs, work, lr = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for step in range(1, epochs + 1):
    total = 0
    for i in range(work):
        total += i
    print(f"step {step} val_loss {lr / step}")
"""
STUDY = """\
name: {name}
objective:
  command: ["{{python}}", train.py, "{{epochs}}", "{{work}}", "{{lr}}"]
  report: {{pattern: 'step (?P<step>\\d+) val_loss (?P<val_loss>\\S+)'}}
minimize: val_loss
params: {{epochs: {epochs}, work: {work}}}
search_space: {{lr: {{float: [0.1, 0.2]}}}}
sampler: random
pruner: {pruner}
budget: {{trials: {trials}}}
"""


class CommandBench(Bench):
    """The same runs of a program."""

    program, study = PROGRAM, STUDY

    def _alone(self, trials: int, epochs: int, work: int) -> float:
        words = [sys.executable, "train.py", str(epochs), str(work), "0.1"]
        start = time.perf_counter()
        for _ in range(trials):
            self._run(words, {"PYTHONUNBUFFERED": "1"})
        return time.perf_counter() - start


if __name__ == "__main__":
    function_overhead.main(CommandBench)
