# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User id maps and idmapped mounts (user_namespaces(7), mount_setattr(2) "ID-mapped mounts")."""

from __future__ import annotations

import errno

from . import mounts


def map_ids(pid: int, first: int, count: int) -> None:
    """Map user and group ids 0..count-1 of the user namespace of ``pid`` to first..first+count-1 outside it."""
    line = f"0 {first} {count}\n".encode()
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", "wb", buffering=0) as file:
            file.write(line)


ALL = (1 << 32) - 1
"""How many ids the map of the initial user namespace has."""


def read(pid: int, name: str) -> list[list[int]]:
    """The lines of a map (``uid_map`` or ``gid_map``) of a process: first inside, first outside as we see it, count."""
    with open(f"/proc/{pid}/{name}", encoding="ascii") as file:
        return [[int(word) for word in line.split()] for line in file]


def first_outside(pid: int) -> int:
    """The id outside of user 0 in the user namespace of ``pid``, as we see it."""
    return next(outside for inside, outside, _count in read(pid, "uid_map") if inside == 0)


def map_mount(mount: int, userns: int, attributes: int = 0) -> None:
    """Map the ids of a detached mount by a user namespace, and set attributes: what belongs to 0 on disk belongs to
    user 0 of that namespace. The file system itself stays as it is; nothing is chowned.

    :param userns: a descriptor of the user namespace.
    :raises OSError: ``EOPNOTSUPP``, naming the file system, where it cannot do idmapped mounts.
    """
    try:
        mounts.set_attributes(mount, attributes, userns)
    except OSError as error:
        if error.errno == errno.EINVAL:
            text = f"{mounts.filesystem_of(mount)} cannot do idmapped mounts on this kernel"
            raise OSError(errno.EOPNOTSUPP, text) from error
        raise
