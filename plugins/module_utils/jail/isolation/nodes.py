# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of the host's that a jail is given: the option ``devices``."""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import JailError
from ...kernel import mounts, paths
from .. import devices, live, policy
from ..devices import OPTION
from ..live import Running
from ..options import Option
from . import observed
from .record import Node

ACCESS = ("r", "w", "rw")
_MODE = re.compile(r"0?[0-7]{3}")
_TAKEN = (*policy.DEVICES, *policy.DEVICE_LINKS, "pts", "shm", "mqueue", "console")
_READ_ONLY_DISKS = 1  # from this securelevel on

SUBOPTIONS = (Option("path", required=True), Option("access", choices=ACCESS), Option("mode"))


def parse(value: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Each with all that is said of it, by path."""
    found = sorted((_one(each) for each in value), key=lambda device: device["path"])
    for one, other in zip(found, found[1:]):
        if one["path"] == other["path"]:
            raise ValueError(f"{one['path']} is there twice")
    return found


def _one(said: Mapping[str, Any]) -> dict[str, str]:
    path, mode = str(said["path"]), str(said.get("mode") or "0600")
    if posixpath.normpath(path) != path or not path.startswith("/dev/") or "\0" in path:
        raise ValueError(f"{path!r} is not a path below /dev in its shortest form")
    if path.split("/")[2] in _TAKEN:
        raise ValueError(f"{path} is the jail's own")
    if not _MODE.fullmatch(mode):
        raise ValueError(f"{path}: mode {mode!r} is not one; write it as in 0660")
    return {"path": path, "access": said.get("access") or "rw", "mode": mode.rjust(4, "0")}


def nodes(said: Sequence[Mapping[str, str]], securelevel: int) -> list[Node]:
    """What the host has at these paths now. From securelevel 1 on disks can only be read.

    :raises JailError: where it has no device.
    """
    found = []
    for device in said:
        kind, number = _look_at(device["path"])
        access = device["access"]
        if kind == "b" and securelevel >= _READ_ONLY_DISKS:
            access = access.replace("w", "")
        if access:
            name = device["path"][len("/dev/") :]
            found.append(Node(name, kind, os.major(number), os.minor(number), access, int(device["mode"], 8)))
    return found


def _look_at(path: str) -> tuple[str, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise JailError(f"{path}: {error.strerror}", option=OPTION) from error
    if stat.S_ISCHR(status.st_mode):
        return "c", status.st_rdev
    if stat.S_ISBLK(status.st_mode):
        return "b", status.st_rdev
    raise JailError(f"{path} is not a device", option=OPTION)


def read(running: Running) -> Any:
    """What the jail was given last, when the kernel lets it open nothing else."""
    fact = observed.devices(running)
    if not fact.holds:
        return f"not as it was given: {fact.live}"
    return running.started_with[OPTION]


def write(running: Running, wanted: Sequence[Mapping[str, str]]) -> None:
    """Make and remove nodes in the jail's /dev, and change what its processes may open. One that is held open stays
    open."""
    before = running.isolation.devices
    after = nodes(wanted, running.started_with["securelevel"])
    devices.restrict(running.group, after)
    with paths.opened(_dev(running)) as place:
        for node in before:
            if node.name not in [other.name for other in after]:
                _remove(place, node.name)
        mask = os.umask(0)
        try:
            for node in after:
                if node not in before:
                    devices.make(place, node, running.first_id or 0)
        finally:
            os.umask(mask)
    changed = running.isolation._replace(devices=after)
    live.record(running._replace(isolation=changed, started_with={**running.started_with, OPTION: list(wanted)}))


def _dev(running: Running) -> int:
    """A descriptor of the jail's /dev: the tmpfs that was made for it, whatever has become of its tree."""
    flags = os.O_PATH | os.O_DIRECTORY
    with paths.opened(running.open_part("root", flags)) as root:
        descriptor = paths.open_plain(root, "/dev", flags)
    if mounts.filesystem_of(descriptor) != "tmpfs":
        os.close(descriptor)
        raise JailError("its /dev is not the one that it was started with", option=OPTION, advice="restart the jail")
    return descriptor


def _remove(place: int, name: str) -> None:
    folder, base = os.path.split(name)
    resolve = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS | paths.RESOLVE_NO_XDEV
    try:
        directory = paths.openat2(place, folder or ".", os.O_PATH | os.O_DIRECTORY, resolve)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return  # the jail's root has removed it
        raise
    with paths.opened(directory):
        paths.remove_tree(directory, base)
