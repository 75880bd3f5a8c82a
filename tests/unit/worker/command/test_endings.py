"""Exit codes, signals and lack of memory as classes of failures."""

import re

import pytest

from tuner.study.verdict import Outcome
from tuner.worker.programs.endings import outcome_of

USAGE = ("usage: main.py [-h] [--lr LR]", "main.py: error: unrecognized arguments: --lrr 3")


@pytest.mark.parametrize(
    ("exit_code", "tail", "outcome", "sentence"),
    [
        (1, ("", "ValueError: bad lr", " "), Outcome.EXITED, "exit code 1: ValueError: bad lr"),
        (3, (), Outcome.EXITED, "the program ended with exit code 3"),
        (2, USAGE, Outcome.MISTAKE, "exit code 2: main.py: error: unrecognized arguments: --lrr 3"),
        (2, ("can't open file",), Outcome.EXITED, "exit code 2"),
        (127, ("bash: pyton: command not found",), Outcome.MISTAKE, "command not found"),
        (126, ("Permission denied",), Outcome.MISTAKE, "exit code 126"),
        (-11, (), Outcome.CRASHED, "the program was ended by SIGSEGV"),
        (139, (), Outcome.CRASHED, "the program was ended by SIGSEGV"),
        (134, ("what(): x",), Outcome.CRASHED, "SIGABRT: what(): x"),
        (-9, (), Outcome.KILLED, "ended by SIGKILL; the kernel does so when memory runs out"),
        (137, (), Outcome.KILLED, "SIGKILL"),
        (-15, (), Outcome.KILLED, "SIGTERM"),
        (143, (), Outcome.EXITED, "exit code 143"),
        (-64, (), Outcome.KILLED, "signal 64|SIGRTMAX"),
        (250, (), Outcome.EXITED, "exit code 250"),
    ],
)
def test_an_end_has_a_class_and_a_sentence(exit_code, tail, outcome, sentence):
    how, message = outcome_of(exit_code, tail, has_oom_kill=False)
    assert how is outcome
    assert re.search(sentence, message) or sentence in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "line",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB",
        "RuntimeError: [enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory",
        "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying",
        "ResourceExhaustedError: {{function_node x}} OOM when allocating tensor with shape[9]",
        "MemoryError",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
    ],
)
def test_lack_of_memory_is_read_from_the_output(line):
    how, _ = outcome_of(1, ("Traceback", line, "more"), has_oom_kill=False)
    assert how is Outcome.OUT_OF_MEMORY


def test_a_kill_by_the_kernel_is_lack_of_memory():
    how, message = outcome_of(-9, ("step 3",), has_oom_kill=True)
    assert how is Outcome.OUT_OF_MEMORY
    assert message == "the program was ended by SIGKILL: the kernel ran out of memory"
    assert outcome_of(-11, (), has_oom_kill=True)[0] is Outcome.CRASHED
