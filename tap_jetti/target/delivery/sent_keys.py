"""Which keys this run has sent into a queue of Jetti's, in a fixed amount of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_jetti.target.delivery.operations import OperationKey

_BITS = 1 << 26
_HASHES = 6


class SentKeys:
    """A Bloom filter of 8 MiB.

    It never forgets a key. Of a million other keys it takes less than one for known after a million keys.
    """

    def __init__(self) -> None:
        self._bytes = bytearray(_BITS >> 3)

    def add(self, key: OperationKey) -> None:
        """Add a key."""
        for bit in _bits_of(key):
            self._bytes[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, key: OperationKey) -> bool:
        """Whether a key was probably added; False is certain."""
        content = self._bytes
        return all(content[bit >> 3] >> (bit & 7) & 1 for bit in _bits_of(key))


def _bits_of(key: OperationKey) -> Iterator[int]:
    mixed = hash(key) * 0x9E3779B97F4A7C15 % (1 << 64)  # spreads hashes that differ little
    step = (mixed >> 38) | 1
    return ((mixed + number * step) % _BITS for number in range(_HASHES))
