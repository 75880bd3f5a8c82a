"""A seeded permutation of 0 .. n - 1, computed for one element at a time."""

import hashlib

_N_ROUNDS = 8


class Permutation:
    """A Feistel network over the smallest suitable power of two, with cycle walking.

    Sources: Luby and Rackoff, "How to construct pseudorandom permutations from pseudorandom
    functions", SIAM J. Comput. 1988 (four rounds suffice in theory; eight, since our domains are
    small); Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002 (cycle walking:
    a result outside the domain is permuted again, which ends because a permutation runs in cycles).
    The domain is less than four times n, so that fewer than four walks are expected; nothing is
    stored, whatever n is.
    """

    def __init__(self, n: int, seed: int) -> None:
        assert n >= 1
        self._n = n
        self._half_bits = max(1, ((n - 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half_bits) - 1
        self._n_bytes = (self._half_bits + 7) // 8
        self._keys = [
            hashlib.blake2b(f"grid permutation {seed} {turn}".encode(), digest_size=32).digest()
            for turn in range(_N_ROUNDS)
        ]

    def __getitem__(self, index: int) -> int:
        """Return the image of `index`."""
        assert 0 <= index < self._n, f"{index} is not below {self._n}"
        place = self._encrypt(index)
        while place >= self._n:
            place = self._encrypt(place)
        return place

    def _encrypt(self, place: int) -> int:
        left, right = place >> self._half_bits, place & self._mask
        for key in self._keys:
            left, right = right, left ^ self._mix(key, right)
        return (left << self._half_bits) | right

    def _mix(self, key: bytes, half: int) -> int:
        text = half.to_bytes(self._n_bytes, "big")
        if self._n_bytes <= hashlib.blake2b.MAX_DIGEST_SIZE:
            digest = hashlib.blake2b(text, key=key, digest_size=self._n_bytes).digest()
        else:  # grids of more than about 10**308 cells
            digest = hashlib.shake_256(key + text).digest(self._n_bytes)
        return int.from_bytes(digest, "big") & self._mask
