# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems of a test's own: each in a sparse file, mounted over a directory of the sandbox."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import staging

_SECONDS = 10
"""How long a file system may stay busy: the kernel lets go of a dead jail's mounts a moment after its end."""


class Kind(NamedTuple):
    """A type of file system and how it is made and mounted."""

    fstype: str
    mib: int
    make: Sequence[str] = ()
    options: Sequence[str] = ()


KINDS = {
    "ext4": Kind("ext4", 512, ("-q", "-m", "0")),
    "ext4-reserve": Kind("ext4", 512, ("-q", "-m", "5")),
    "ext4-prjquota": Kind("ext4", 512, ("-q", "-m", "0", "-O", "quota,project"), ("prjquota",)),
    "xfs": Kind("xfs", 512, ("-q",)),
    "xfs-prjquota": Kind("xfs", 512, ("-q",), ("prjquota",)),
    "xfs-noreflink": Kind("xfs", 512, ("-q", "-m", "reflink=0")),
    "btrfs": Kind("btrfs", 1024, ("-q",)),
}
"""What tests use, by name."""


class UnsupportedError(Exception):
    """Why this host cannot have such a file system: the reason for a skip."""


@contextlib.contextmanager
def mounted(name: str, place: str = layout.LIB, mib: int | None = None) -> Iterator[str]:
    """A fresh file system over ``place`` for a ``with`` block; gives the file that it lies in.

    It is unmounted and its loop device detached also when the block fails.

    :param name: one of :data:`KINDS`.
    :raises UnsupportedError: when this kernel cannot mount it, or the program that makes it is missing.
    """
    kind = KINDS[name]
    descriptor, image = tempfile.mkstemp(prefix="jails-test-", suffix=f".{kind.fstype}", dir="/var/tmp")
    try:
        os.truncate(descriptor, (mib or kind.mib) << 20)
        os.close(descriptor)
        _run([f"mkfs.{kind.fstype}", *kind.make, image])
        os.makedirs(place, exist_ok=True)
        _run(["mount", "-t", kind.fstype, "-o", ",".join(("loop", *kind.options)), image, place])
        try:
            os.chmod(place, 0o755)
            yield image
        finally:
            _unmount(place)
    finally:
        os.unlink(image)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise UnsupportedError(f"{command[0]} is not installed") from None
    if done.returncode:
        raise UnsupportedError(f"this host cannot do `{' '.join(command[:-2])}`: {done.stderr.strip()}")


def _unmount(place: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        done = subprocess.run(["umount", place], check=False, capture_output=True, text=True)
        if not done.returncode:
            return
        if time.monotonic() > deadline:
            subprocess.run(["umount", "--lazy", place], check=False)
            raise AssertionError(f"something holds the file system of a test: {done.stderr.strip()}")
        time.sleep(0.05)


def free_bytes() -> int:
    """What the file system of our directory says is free, when all is written."""
    staging.sync_filesystem(layout.LIB)
    facts = os.statvfs(layout.LIB)
    return facts.f_bfree * facts.f_frsize


def grows_to(free: int) -> bool:
    """Whether so many bytes are free, or will be when the file system has come to it: xfs and btrfs take what was
    removed apart later."""
    deadline = time.monotonic() + 90
    while free_bytes() < free:
        # Its cleaner comes every half minute, or when it is called so. On others this fails, and they need it not.
        subprocess.run(["btrfs", "filesystem", "sync", layout.LIB], check=False, capture_output=True)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def loop_devices() -> dict[str, str]:
    """The loop devices that are attached, and the file behind each."""
    found = {}
    for device in os.listdir("/sys/block"):
        with contextlib.suppress(OSError), open(f"/sys/block/{device}/loop/backing_file", encoding="utf-8") as file:
            found[device] = file.read().strip()
    return found
