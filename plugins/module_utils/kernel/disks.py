# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks a file system is on (sysfs(5), the kernel's ABI/stable/sysfs-block and ABI/testing/sysfs-fs-btrfs).

A disk is named by its numbers, such as ``8:0``.
"""

from __future__ import annotations

import glob
import os
import re
import stat

from .mounts import mount_table

_DEVICES = "/sys/dev/block"


def below(path: str) -> list[str]:
    """The whole disks below the file system of a path; none where it is on none, as tmpfs and NFS are, or where it
    cannot be seen, as with ZFS."""
    device = os.stat(path).st_dev
    if os.major(device):
        return [_whole(f"{os.major(device)}:{os.minor(device)}")]
    return sorted({_whole(each) for each in _of_btrfs(path)})


def named(device: str) -> list[str]:
    """The whole disks that a block device, a path on a file system, or numbers such as ``8:0`` mean; none where there
    is none."""
    if re.fullmatch("[0-9]+:[0-9]+", device):
        return [_whole(device)] if os.path.exists(os.path.join(_DEVICES, device)) else []
    try:
        found = os.stat(device)
    except OSError:
        return []
    if stat.S_ISBLK(found.st_mode):
        return [_whole(f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}")]
    return below(device)


def _whole(device: str) -> str:
    """The disk that a partition is of, or the device itself."""
    place = os.path.realpath(os.path.join(_DEVICES, device))
    if not os.path.exists(os.path.join(place, "partition")):
        return device
    return _numbers(os.path.dirname(place))


def _of_btrfs(path: str) -> list[str]:
    """A file system of btrfs has numbers of no device, and may be on several."""
    place = os.path.realpath(path)
    while not os.path.ismount(place):
        place = os.path.dirname(place)
    source = next((mount.source for mount in reversed(mount_table()) if mount.target == place), "")
    pattern = f"/sys/fs/btrfs/*/devices/{os.path.basename(os.path.realpath(source))}"
    return [_numbers(each) for found in glob.glob(pattern) for each in glob.glob(f"{os.path.dirname(found)}/*")]


def _numbers(place: str) -> str:
    with open(os.path.join(place, "dev"), encoding="ascii") as file:
        return file.read().strip()
