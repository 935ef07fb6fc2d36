# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Masked and read-only paths of a jail: put on as its root is built, and looked at while it runs."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence

from ...kernel import mounts, paths
from ...kernel.mounts import NODEV, NOEXEC, NOSUID, RDONLY
from .. import policy
from .record import Isolation

_KERNELS_OWN = ("/proc/", "/sys/")
"""Below these not every kernel has every path; elsewhere one that is not there cannot be kept from coming."""

_NULL = os.makedev(*policy.DEVICES["null"])
_LOOK_OPTIONS = {"mode": "0555", "size": "4k", "nr_inodes": "1"}


def put_on(places: Mapping[str, int], devices: int, isolation: Isolation) -> None:
    """Cover what is to be masked, and make read-only what is to be.

    :param places: descriptors of the jail's root, ``/``, and of its ``/proc`` and ``/sys``, whatever bears their names
        by now.
    :param devices: its /dev, from which the null device is taken.
    :raises OSError: for a path that is not there, or a link.
    """
    writable = [(path, _clone(*_below(places, path))) for path in isolation.writable_paths]
    for path in isolation.readonly_paths:
        with _target(*_below(places, path), path) as target:
            if target is not None:
                mount = mounts.clone(target)
                mounts.set_attributes(mount, RDONLY)
                mounts.attach(mount, target)
    for path, mount in writable:
        with paths.opened(paths.open_plain(*_below(places, path), os.O_PATH)) as target:
            mounts.attach(mount, target)
    for path in isolation.masked_paths:
        with _target(*_below(places, path), path) as target:
            if target is not None:
                mounts.attach(_cover(target, devices), target)


def _below(places: Mapping[str, int], path: str) -> tuple[int, str]:
    """The innermost of the places in which a path is, and the path from there."""
    inner = max((place for place in places if f"{path}/".startswith(f"{place.rstrip('/')}/")), key=len)
    return places[inner], path[len(inner) :].lstrip("/") or "."


def uncovered(root: int, masked: Sequence[str]) -> list[str]:
    """Which of these paths are there and not covered, as a jail with this root sees them."""
    found = []
    for path in masked:
        with _target(root, path, path) as target:
            if target is not None and not _is_covered(target):
                found.append(path)
    return found


def writable(root: int, readonly: Sequence[str]) -> list[str]:
    """Which of these paths are there and not read-only, likewise."""
    found = []
    for path in readonly:
        with _target(root, path, path) as target:
            if target is not None and not os.fstatvfs(target).f_flag & os.ST_RDONLY:
                found.append(path)
    return found


def _clone(root: int, path: str) -> int:
    with paths.opened(paths.open_plain(root, path, os.O_PATH)) as place:
        return mounts.clone(place)


@contextlib.contextmanager
def _target(place: int, path: str, name: str) -> Iterator[int | None]:
    """A descriptor of the path, whose name in the jail is ``name``; ``None`` where this kernel does not have it."""
    try:
        descriptor = paths.open_plain(place, path, os.O_PATH)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR) and name.startswith(_KERNELS_OWN):
            yield None
            return
        text = "it is, or lies below, a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise OSError(error.errno, f"{name} can be neither masked nor made read-only: {text}") from error
    with paths.opened(descriptor):
        yield descriptor


def _cover(target: int, devices: int) -> int:
    """A mount of the null device for a file, of an empty read-only tmpfs for a directory."""
    if stat.S_ISDIR(os.fstat(target).st_mode):
        return mounts.create("tmpfs", _LOOK_OPTIONS, RDONLY | NOSUID | NODEV | NOEXEC)
    cover = mounts.clone(devices, "null")
    if os.fstat(cover).st_rdev != _NULL:
        raise OSError(errno.EINVAL, "the cover of a masked file is not the null device")
    return cover


def _is_covered(target: int) -> bool:
    status = os.fstat(target)
    if not stat.S_ISDIR(status.st_mode):
        return stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL
    with paths.opened(paths.openat2(target, ".", os.O_RDONLY | os.O_DIRECTORY, paths.RESOLVE_BENEATH)) as folder:
        return bool(os.fstatvfs(folder).f_flag & os.ST_RDONLY) and not os.listdir(folder)
