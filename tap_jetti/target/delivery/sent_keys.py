"""Which keys this run has sent into a queue of Jetti's, in a bounded amount of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_jetti.target.delivery.operations import OperationKey

MAX_EXACT = 200_000
"""Keys whose hashes are kept; beyond that a Bloom filter takes their place."""

_BITS = 1 << 27
_SPREAD = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


class SentKeys:
    """The hashes of the first keys, about 16 MiB, then a Bloom filter of 16 MiB with four bits per key.

    It never forgets a key. Of a million other keys it takes less than one for known after a million keys.
    """

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._filter: bytearray | None = None

    def add(self, key: OperationKey) -> bool:
        """Add a key; returns False if it was there before, and True if it was not."""
        if self._filter is not None:
            return _add(self._filter, hash(key))
        hashes, hashed = self._hashes, hash(key)
        if hashed in hashes:
            return False
        hashes.add(hashed)
        if len(hashes) > MAX_EXACT:
            self._filter = bytearray(_BITS >> 3)
            for one in hashes:
                _add(self._filter, one)
            self._hashes = set()
        return True

    def __contains__(self, key: OperationKey) -> bool:
        """Whether a key was added."""
        content = self._filter
        if content is None:
            return hash(key) in self._hashes
        return all(content[bit >> 3] >> (bit & 7) & 1 for bit in _bits_of(hash(key)))


def _add(content: bytearray, hashed: int) -> bool:
    is_new = False
    for bit in _bits_of(hashed):
        cell, flag = content[bit >> 3], 1 << (bit & 7)
        if not cell & flag:
            content[bit >> 3] = cell | flag
            is_new = True
    return is_new


def _bits_of(hashed: int) -> tuple[int, int, int, int]:
    mixed = hashed * _SPREAD & _WORD  # spreads hashes that differ little
    first, step = mixed >> 32, mixed | 1
    return first % _BITS, (first + step) % _BITS, (first + 2 * step) % _BITS, (first + 3 * step) % _BITS
