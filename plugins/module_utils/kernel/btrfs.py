# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""btrfs: subvolumes, snapshots, and quota groups (``linux/btrfs.h``, btrfs-ioctl(2), btrfs-quota(5)).

Directories are descriptors that were opened for reading; an ``O_PATH`` one takes no ioctl.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import uuid
from typing import NamedTuple

from . import ioctl, mounts
from .ioctl import READ, WRITE

SIMPLE, FULL = "simple", "full"
"""How space is counted: simple quotas (Linux 6.7) charge an extent to the subvolume that first wrote it, full ones work
out who shares it at every change."""

_SUPER_MAGIC = 0x9123683E  # linux/magic.h
_MAGIC = 0x94
_ROOT_INODE = 256  # BTRFS_FIRST_FREE_OBJECTID, the root directory of every subvolume
_NAME_BYTES_V1, _NAME_BYTES_V2 = 4088, 4040
_QUOTA_ENABLE_SIMPLE = 4
_QUOTA_DISABLE = 2
_LIMIT_EXCLUSIVE = 2
_NO_LIMIT = (1 << 64) - 1
_SYSFS = "/sys/fs/btrfs"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class VolumeArguments(ctypes.Structure):
    """``struct btrfs_ioctl_vol_args``."""

    _fields_ = (("fd", ctypes.c_int64), ("name", ctypes.c_char * _NAME_BYTES_V1))


class VolumeArgumentsV2(ctypes.Structure):
    """``struct btrfs_ioctl_vol_args_v2``; ``unused`` is a union with what only quota inheritance takes."""

    _fields_ = (
        ("fd", ctypes.c_int64),
        ("transid", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("unused", ctypes.c_uint64 * 4),
        ("name", ctypes.c_char * _NAME_BYTES_V2),
    )


class LookupArguments(ctypes.Structure):
    """``struct btrfs_ioctl_ino_lookup_args``."""

    _fields_ = (("treeid", ctypes.c_uint64), ("objectid", ctypes.c_uint64), ("name", ctypes.c_char * 4080))


class FilesystemArguments(ctypes.Structure):
    """``struct btrfs_ioctl_fs_info_args`` with all behind the identity as one field."""

    _fields_ = (
        ("max_id", ctypes.c_uint64),
        ("num_devices", ctypes.c_uint64),
        ("fsid", ctypes.c_uint8 * 16),
        ("rest", ctypes.c_uint64 * 124),
    )


class QuotaArguments(ctypes.Structure):
    """``struct btrfs_ioctl_quota_ctl_args``."""

    _fields_ = (("cmd", ctypes.c_uint64), ("status", ctypes.c_uint64))


class GroupArguments(ctypes.Structure):
    """``struct btrfs_ioctl_qgroup_create_args``."""

    _fields_ = (("create", ctypes.c_uint64), ("qgroupid", ctypes.c_uint64))


class LimitArguments(ctypes.Structure):
    """``struct btrfs_ioctl_qgroup_limit_args`` with the fields of its ``struct btrfs_qgroup_limit``."""

    _fields_ = (
        ("qgroupid", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("max_rfer", ctypes.c_uint64),
        ("max_excl", ctypes.c_uint64),
        ("rsv_rfer", ctypes.c_uint64),
        ("rsv_excl", ctypes.c_uint64),
    )


SNAP_CREATE = ioctl.request("BTRFS_IOC_SNAP_CREATE", WRITE, _MAGIC, 1, VolumeArguments)
SUBVOL_CREATE = ioctl.request("BTRFS_IOC_SUBVOL_CREATE", WRITE, _MAGIC, 14, VolumeArguments)
SNAP_DESTROY = ioctl.request("BTRFS_IOC_SNAP_DESTROY", WRITE, _MAGIC, 15, VolumeArguments)
INO_LOOKUP = ioctl.request("BTRFS_IOC_INO_LOOKUP", READ | WRITE, _MAGIC, 18, LookupArguments)
SNAP_CREATE_V2 = ioctl.request("BTRFS_IOC_SNAP_CREATE_V2", WRITE, _MAGIC, 23, VolumeArgumentsV2)
SUBVOL_CREATE_V2 = ioctl.request("BTRFS_IOC_SUBVOL_CREATE_V2", WRITE, _MAGIC, 24, VolumeArgumentsV2)
SUBVOL_SETFLAGS = ioctl.request("BTRFS_IOC_SUBVOL_SETFLAGS", WRITE, _MAGIC, 26, ctypes.c_uint64)
FS_INFO = ioctl.request("BTRFS_IOC_FS_INFO", READ, _MAGIC, 31, FilesystemArguments)
QUOTA_CTL = ioctl.request("BTRFS_IOC_QUOTA_CTL", READ | WRITE, _MAGIC, 40, QuotaArguments)
QGROUP_CREATE = ioctl.request("BTRFS_IOC_QGROUP_CREATE", WRITE, _MAGIC, 42, GroupArguments)
QGROUP_LIMIT = ioctl.request("BTRFS_IOC_QGROUP_LIMIT", READ, _MAGIC, 43, LimitArguments)


UNPRIVILEGED = (SNAP_CREATE, SUBVOL_CREATE, SNAP_CREATE_V2, SUBVOL_CREATE_V2, SUBVOL_SETFLAGS)
"""What whoever owns a directory may do: make a subvolume of it or in it, and forbid all writing to one. What is written
to a new subvolume is charged to no other."""


class Usage(NamedTuple):
    """What a quota group counts as its own alone, and the limit of that, in bytes."""

    exclusive: int
    limit: int | None


def holds(directory: int) -> bool:
    """Whether a descriptor is of something on btrfs."""
    return mounts.magic_of(directory) == _SUPER_MAGIC


def is_subvolume(directory: int) -> bool:
    """Whether a descriptor is of a subvolume's root directory."""
    return os.fstat(directory).st_ino == _ROOT_INODE and holds(directory)


def create(parent: int, name: str) -> None:
    """Make an empty subvolume; its mode is 0777 without the umask."""
    ioctl.call(parent, SUBVOL_CREATE, VolumeArguments(0, os.fsencode(name)), name)


def snapshot(source: int, parent: int, name: str) -> None:
    """Make a writable snapshot of the subvolume ``source``: all of its tree at once, sharing every block."""
    ioctl.call(parent, SNAP_CREATE_V2, VolumeArgumentsV2(fd=source, name=os.fsencode(name)), name)


def make_writable(directory: int) -> None:
    """Undo that somebody has made a subvolume read-only."""
    ioctl.call(directory, SUBVOL_SETFLAGS, ctypes.c_uint64(0))


def destroy(parent: int, name: str) -> None:
    """Remove a subvolume with all files in it, and its quota group; the kernel gives the space back by and by.

    :param parent: may be an ``O_PATH`` descriptor.
    :raises OSError: ``ENOTEMPTY`` when there is a subvolume in it.
    """
    with contextlib.ExitStack() as stack:
        folder = os.open(".", _DIRECTORY, dir_fd=parent)
        stack.callback(os.close, folder)
        volume = os.open(name, _DIRECTORY, dir_fd=folder)
        stack.callback(os.close, volume)
        number = identity(volume)
        ioctl.call(folder, SNAP_DESTROY, VolumeArguments(0, os.fsencode(name)), name)
        # Kernels that refuse this while the subvolume is being cleared (EBUSY) do it by themselves afterwards; without
        # quotas there is none (ENOTCONN).
        with contextlib.suppress(OSError):
            ioctl.call(folder, QGROUP_CREATE, GroupArguments(0, number))


def identity(directory: int) -> int:
    """The number of the subvolume that a directory lies in."""
    found = LookupArguments(0, _ROOT_INODE)
    ioctl.call(directory, INO_LOOKUP, found)
    return int(found.treeid)


def quotas(directory: int) -> str | None:
    """How the file system counts space, :data:`SIMPLE` or :data:`FULL`; ``None`` while it does not."""
    try:
        if _read(directory, "enabled") != "1":
            return None
        return SIMPLE if _read(directory, "mode") == "squota" else FULL
    except FileNotFoundError as error:
        # Kernels before 6.7 know one mode and no file for it.
        return None if (error.filename or "").endswith("enabled") else FULL


def knows_simple_quotas() -> bool:
    """Whether this kernel has them, on whatever file system."""
    return os.path.exists(os.path.join(_SYSFS, "features", "simple_quota"))


def enable_simple_quotas(directory: int) -> None:
    """Count from now on, by simple quotas. The file system keeps the mark of it: no kernel before 6.7 mounts it then.

    :raises OSError: ``EINVAL`` on a kernel that has no simple quotas, ``EEXIST`` where full ones are on.
    """
    ioctl.call(directory, QUOTA_CTL, QuotaArguments(_QUOTA_ENABLE_SIMPLE, 0))


def disable_quotas(directory: int) -> None:
    """Cease to count, and forget all limits."""
    ioctl.call(directory, QUOTA_CTL, QuotaArguments(_QUOTA_DISABLE, 0))


def set_limit(directory: int, limit: int | None) -> None:
    """Limit the bytes that the subvolume of ``directory`` may have to itself; ``None`` for no limit.

    :raises OSError: ``ENOTCONN`` while quotas are off, ``ENOENT`` for a subvolume without a quota group.
    """
    number = _NO_LIMIT if limit is None else limit
    arguments = LimitArguments(qgroupid=identity(directory), flags=_LIMIT_EXCLUSIVE, max_excl=number)
    ioctl.call(directory, QGROUP_LIMIT, arguments)


def usage(directory: int) -> Usage:
    """What the subvolume of ``directory`` has to itself, as of the last commit, and its limit. Quotas must be on."""
    group = f"0_{identity(directory)}"
    limited = int(_read(directory, f"{group}/limit_flags")) & _LIMIT_EXCLUSIVE
    limit = int(_read(directory, f"{group}/max_exclusive")) if limited else None
    return Usage(int(_read(directory, f"{group}/exclusive")), limit)


def _read(directory: int, name: str) -> str:
    """A file of the file system's quotas in sysfs (the kernel's ``Documentation/ABI``, fs/btrfs/sysfs.c)."""
    found = FilesystemArguments()
    ioctl.call(directory, FS_INFO, found)
    path = os.path.join(_SYSFS, str(uuid.UUID(bytes=bytes(found.fsid))), "qgroups", name)
    with open(path, encoding="ascii") as file:
        return file.read().strip()
