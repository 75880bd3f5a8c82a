"""Threads of the BLAS libraries that the template has loaded: with one thread, as it has itself."""

from threadpoolctl import ThreadpoolController

_libraries: list[ThreadpoolController] = []


def find_libraries() -> None:
    """Look for the libraries that are loaded by now, which takes some milliseconds."""
    _libraries[:] = [ThreadpoolController()]


def set_blas_threads(n_threads: int) -> None:
    """Set the number of threads of the libraries that were found."""
    for each in _libraries:
        each.limit(limits=n_threads, user_api="blas")
