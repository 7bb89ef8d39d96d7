"""A disk whose power can be cut, for the tests of faults. `make faults` runs them; an ordinary run leaves them out.

They need root, loop devices and ext4. Where one of these is missing they fail and say so: whoever asks for them wants
to know, and a skipped test would look like a passed one.
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


class Disk:
    """An ext4 file system in a file, mounted at `path`, that can lose its power."""

    def __init__(self, image: Path, path: Path) -> None:
        self.path = path
        self._image = image
        with image.open("wb") as stream:
            stream.truncate(_MEBIBYTES << 20)
        _run("mkfs.ext4", "-q", "-F", str(image))
        path.mkdir()
        self._mount()

    def cut_power(self) -> None:
        """Lose what is not on the disk, end whoever used it, and start again with what is there.

        Not even what the journal holds in memory is written: the kernel drops everything, as a machine would.
        """
        place = os.open(self.path, os.O_RDONLY)
        fcntl.ioctl(place, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        os.close(place)
        self.unmount()
        self._mount()

    def unmount(self) -> None:
        """End every process that has something open there, and unmount it."""
        until(self._is_unmounted, f"{self.path} to be unmounted")

    def _is_unmounted(self) -> bool:
        for pid in _users_of(self.path):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["umount", str(self.path)], capture_output=True, check=False)
        # What has lost its power can't be asked itself.
        return f" {self.path} " not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.path))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of its own."""
    missing = [program for program in ("mkfs.ext4", "mount", "umount") if shutil.which(program) is None]
    if os.geteuid() != 0 or missing or not Path("/dev/loop-control").exists():
        pytest.fail(f"NOT TESTED: this needs root, /dev/loop-control and mkfs.ext4; missing programs: {missing}")
    try:
        made = Disk(tmp_path / "disk.img", tmp_path / "disk")
    except subprocess.CalledProcessError as error:
        pytest.fail(f"NOT TESTED: no disk could be made: {error.stderr.decode().strip()}")
    yield made
    made.unmount()


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)


def _users_of(place: Path) -> list[int]:
    """Processes with a working directory or an open file below this place."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                links = [entry / "cwd", *(entry / "fd").iterdir()]
                if any(_target(link).startswith(f"{place}/") or _target(link) == str(place) for link in links):
                    found.append(int(entry.name))
    return found


def _target(link: Path) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115
    except OSError:
        return ""
