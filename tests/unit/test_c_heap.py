"""All threads share one heap of the C library, and free memory goes back to the system."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAPS = """
import ctypes, sys, threading
from controller import c_heap
{first}
barrier = threading.Barrier(4)

def allocate():
    buffers = [bytearray(10_000) for _ in range(20)]
    barrier.wait()

threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, stream)
libc.fclose(stream)
"""
FREE = """
from controller import c_heap

def anonymous():
    with open("/proc/self/status") as stream:
        return int(stream.read().partition("RssAnon:")[2].split()[0])

buffers = [bytearray(50_000) for _ in range(400)]
last = bytearray(50_000)
full = anonymous()
del buffers
c_heap.return_free_memory()
print(full - anonymous())
"""


@pytest.mark.parametrize(("first", "is_one"), [("c_heap.share_one_heap()", True), ("", False)])
def test_threads_share_one_heap_only_after_the_call(first: str, is_one: bool, tmp_path: Path) -> None:
    file = tmp_path / "heaps.xml"
    subprocess.run([sys.executable, "-c", HEAPS.replace("{first}", first), str(file)], check=True)
    assert (file.read_text().count("<heap ") == 1) is is_one


def test_free_memory_inside_the_heap_is_returned() -> None:
    done = subprocess.run([sys.executable, "-c", FREE], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 15_000  # KiB, of 20,000
