"""A disk whose power can be cut, for the fault tests, which only `make faults` runs.

They need root, loop devices and ext4. If one of these is missing, they fail instead of being skipped, since a skipped
test would look like a passed one.
"""

import fcntl
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.conftest import folder, machine, repository, running
from tests.acceptance.harness import until

__all__ = ["folder", "machine", "repository", "running"]

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32) of linux/ext4.h
_NO_LOG_FLUSH = 2
_MEBIBYTES = 256


@pytest.fixture
def commands() -> None:
    """Every command starts the installed script: a library in LD_PRELOAD has an effect only at the start."""


class Disk:
    """An ext4 file system in an image file, mounted at `path`, whose power can be cut."""

    def __init__(self, image: Path, path: Path) -> None:
        self.path = path
        self._image = image
        with image.open("wb") as stream:
            stream.truncate(_MEBIBYTES << 20)
        _run("mkfs.ext4", "-q", "-F", str(image))
        path.mkdir()
        self._mount()

    def cut_power(self) -> None:
        """Drop everything that is not on the disk, kill all processes that use it, and mount it again.

        As in a real power cut, the kernel does not even write the part of the journal that is still in memory.
        """
        descriptor = os.open(self.path, os.O_RDONLY)
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        os.close(descriptor)
        self.unmount()
        self._mount()

    def unmount(self) -> None:
        """Kill all processes that have files open on the disk, and unmount it."""
        until(self._is_unmounted, f"{self.path} to be unmounted")

    def _is_unmounted(self) -> bool:
        for pid in _users_of(self.path):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["umount", str(self.path)], capture_output=True, check=False)
        # After a power cut, system calls on the mount point itself fail.
        return f" {self.path} " not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.path))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A new disk for one test."""
    missing = [program for program in ("mkfs.ext4", "mount", "umount") if shutil.which(program) is None]
    if os.geteuid() != 0 or missing or not Path("/dev/loop-control").exists():
        pytest.fail(f"NOT TESTED: this needs root, /dev/loop-control and mkfs.ext4; missing programs: {missing}")
    try:
        disk = Disk(tmp_path / "disk.img", tmp_path / "disk")
    except subprocess.CalledProcessError as error:
        pytest.fail(f"NOT TESTED: the disk could not be created: {error.stderr.decode().strip()}")
    yield disk
    disk.unmount()


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)


def _users_of(directory: Path) -> list[int]:
    """Return the ids of processes with their working directory or an open file in or below this directory."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                links = [entry / "cwd", *(entry / "fd").iterdir()]
                if any(Path(_target(link)).is_relative_to(directory) for link in links):
                    pids.append(int(entry.name))
    return pids


def _target(link: Path) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115
    except OSError:
        return ""
