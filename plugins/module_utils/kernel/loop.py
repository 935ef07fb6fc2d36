# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices: a file as a block device, for as long as anything has it open (``linux/loop.h``, loop(4)).

The kernel lets two devices have one file, and two file systems in one file destroy it. So whoever attaches a file locks
it (flock(2)), and hands the locked descriptor to the device, which keeps it: the lock lasts as long as the device, in
whatever way that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import time
from collections.abc import Iterator

from . import ioctl
from .ioctl import Request

_CONTROL = "/dev/loop-control"
_SYSFS = "/sys/block"
_AUTOCLEAR, _DIRECT_IO = 4, 16
_BLOCK = 4096
_POLL_SECONDS = 0.005
_ATTEMPTS = 100


class Info(ctypes.Structure):
    """``struct loop_info64``."""

    _fields_ = (
        ("lo_device", ctypes.c_uint64),
        ("lo_inode", ctypes.c_uint64),
        ("lo_rdevice", ctypes.c_uint64),
        ("lo_offset", ctypes.c_uint64),
        ("lo_sizelimit", ctypes.c_uint64),
        ("lo_number", ctypes.c_uint32),
        ("lo_encrypt_type", ctypes.c_uint32),
        ("lo_encrypt_key_size", ctypes.c_uint32),
        ("lo_flags", ctypes.c_uint32),
        ("lo_file_name", ctypes.c_char * 64),
        ("lo_crypt_name", ctypes.c_char * 64),
        ("lo_encrypt_key", ctypes.c_char * 32),
        ("lo_init", ctypes.c_uint64 * 2),
    )


class Config(ctypes.Structure):
    """``struct loop_config``."""

    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("block_size", ctypes.c_uint32),
        ("info", Info),
        ("reserved", ctypes.c_uint64 * 8),
    )


GET_STATUS64 = Request("LOOP_GET_STATUS64", 0x4C05)
SET_CAPACITY = Request("LOOP_SET_CAPACITY", 0x4C07)
CONFIGURE = Request("LOOP_CONFIGURE", 0x4C0A)
CTL_GET_FREE = Request("LOOP_CTL_GET_FREE", 0x4C82)

_seen: dict[str, list[str]] = {}
"""Which devices had files when we last looked, by the ends of the files' paths (:func:`_end`)."""


@contextlib.contextmanager
def attached(path: str, seconds: float) -> Iterator[str]:
    """The loop device of a file, for a ``with`` block: attached now, unless it is already.

    The block is one holder of the device, a mount of it is another. With the last one it is gone.

    :param seconds: how long to wait for somebody who has the file locked without attaching it.
    :raises BlockingIOError: after that; ``OSError`` with ``ENXIO`` on a host that has no loop devices.
    """
    deadline = time.monotonic() + seconds
    while (found := _attach_or_find(path)) is None:
        _wait(path, deadline)
    device, name = found
    try:
        yield name
    finally:
        os.close(device)


@contextlib.contextmanager
def unattached(path: str, seconds: float) -> Iterator[int]:
    """A descriptor of a file that no loop device has and none gets, for a ``with`` block.

    :param seconds: how long to wait for the end of one that has it.
    :raises BlockingIOError: after that.
    """
    deadline = time.monotonic() + seconds
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        while not _lock(file) or _is_attached(path, file):
            _wait(path, deadline)
        yield file
    finally:
        os.close(file)


def device_of(path: str) -> str | None:
    """The loop device that a file is attached to; ``None`` when it is to none."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = None if _lock(file) else _find(path, os.fstat(file))
    finally:
        os.close(file)
    if found is None:
        return None
    os.close(found[0])
    return found[1]


def adapt_capacity(device: str) -> None:
    """Have a device take the present length of its file."""
    descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ioctl.call(descriptor, SET_CAPACITY, target=device)
    finally:
        os.close(descriptor)


def _wait(path: str, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise BlockingIOError(errno.EAGAIN, "it is in use by another process", path)
    time.sleep(_POLL_SECONDS)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _attach_or_find(path: str) -> tuple[int, str] | None:
    """A descriptor and the path of the file's device; ``None`` while the file is locked and yet has none."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        ours = _lock(file)
        # Somebody may have attached it by hand, and losetup(8) takes no lock.
        found = _find(path, os.fstat(file))
        return _attach(file) if ours and found is None else found
    finally:
        os.close(file)


def _is_attached(path: str, file: int) -> bool:
    found = _find(path, os.fstat(file))
    if found is None:
        return False
    os.close(found[0])
    return True


def _attach(file: int) -> tuple[int, str]:
    """Attach a locked file; a descriptor and the path of the device."""
    for _attempt in range(_ATTEMPTS):
        found = _configure(file)
        if found is not None:
            return found
    raise OSError(errno.EBUSY, "each loop device that was free is taken by somebody else at once", _CONTROL)


def _configure(file: int) -> tuple[int, str] | None:
    """Attach a locked file to a free device; ``None`` when that was not free any more."""
    try:
        control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError) as error:
        raise OSError(errno.ENXIO, "this host has no loop devices (the kernel's module loop)", _CONTROL) from error
    try:
        name = f"/dev/loop{ioctl.call(control, CTL_GET_FREE)}"
    finally:
        os.close(control)
    device = os.open(name, os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = _AUTOCLEAR | _DIRECT_IO  # direct: its pages are cached once, by the file system on it
        ioctl.call(device, CONFIGURE, Config(file, _BLOCK, Info(lo_flags=flags)), name)
    except OSError as error:
        os.close(device)
        if error.errno == errno.EBUSY:
            return None
        raise
    return device, name


def _find(path: str, facts: os.stat_result) -> tuple[int, str] | None:
    """A descriptor, which keeps it from going away, and the path of the device that has this file."""
    identity = facts.st_dev, facts.st_ino
    found = _first_with(identity, _seen.get(_end(path), []))
    if found is None:
        _look_around()
        found = _first_with(identity, _seen.get(_end(path), []))
    return found


def _end(path: str) -> str:
    """The last two names of a path: what stands before them depends on who looks."""
    return "/".join(path.split("/")[-2:])


def _look_around() -> None:
    _seen.clear()
    for entry in os.listdir(_SYSFS):
        try:
            with open(os.path.join(_SYSFS, entry, "loop", "backing_file"), encoding="utf-8") as file:
                _seen.setdefault(_end(file.read().rstrip("\n")), []).append(f"/dev/{entry}")
        except OSError:
            continue  # it is no loop device, has no file, or has gone away meanwhile


def _first_with(identity: tuple[int, int], names: list[str]) -> tuple[int, str] | None:
    """A descriptor and the path of the first of these devices that has this file."""
    for name in names:
        with contextlib.suppress(OSError):
            device = os.open(name, os.O_RDWR | os.O_CLOEXEC)
            with contextlib.suppress(OSError):
                if _file_of(device) == identity:
                    return device, name
            os.close(device)
    return None


def _file_of(device: int) -> tuple[int, int]:
    info = Info()
    ioctl.call(device, GET_STATUS64, info)
    return info.lo_device, info.lo_inode
