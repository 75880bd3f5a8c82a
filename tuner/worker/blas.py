"""Threads of the BLAS libraries that the template has loaded: with one thread, as it has itself."""

import os
from collections.abc import Callable

_SET_BY_IMPORT = "KMP_DUPLICATE_LIB_OK"  # a variable that the user's code has not asked for

_limits: list[Callable[[int], object]] = []  # for each look


def find_libraries() -> None:
    """Look for the libraries that are loaded by now, which takes some milliseconds."""
    is_set = _SET_BY_IMPORT in os.environ
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - sets the variable

    if not is_set:
        os.environ.pop(_SET_BY_IMPORT, None)
    libraries = ThreadpoolController()
    _limits[:] = [lambda n_threads: libraries.limit(limits=n_threads, user_api="blas")]


def set_blas_threads(n_threads: int) -> None:
    """Set the number of threads of the libraries that were found."""
    for limit in _limits:
        limit(n_threads)
