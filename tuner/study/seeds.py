"""Addressed randomness: every seed is a hash of its address, never a draw from a stream."""

import hashlib
import json


def derive_seed(*address: int | str) -> int:
    """Hash an address such as `(study_seed, "trial", number)` to a seed in 0 .. 2**32 - 1.

    The same address gives the same seed on every machine and Python version (BLAKE2b of the JSON
    text; `hash()` is salted per process).
    """
    text = json.dumps(address, separators=(",", ":")).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big")
