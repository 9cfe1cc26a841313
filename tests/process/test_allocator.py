"""How many heaps the C library has after threads have allocated memory."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT_HEAPS = """
import ctypes, sys, threading
from tap_jetti.process.allocator import return_freed_memory

if sys.argv[1] == "limited":
    return_freed_memory()
barrier = threading.Barrier(4)

def work():
    blocks = [bytes(3000) for _ in range(1000)]
    barrier.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have one heap")
@pytest.mark.parametrize(("mode", "is_one"), [("as it is", False), ("limited", True)])
def test_all_threads_share_one_heap(mode: str, is_one: bool) -> None:
    """What one thread frees is there for all others, so that the peak is that of all together, not of each."""
    found = subprocess.run([sys.executable, "-c", COUNT_HEAPS, mode], capture_output=True, text=True, check=True)
    assert (found.stdout.count("<heap nr=") == 1) is is_one
