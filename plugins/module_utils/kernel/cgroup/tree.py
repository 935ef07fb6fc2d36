# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find this host's control groups, and in them the group of a guest."""

from __future__ import annotations

import os

from ..mounts import mount_table
from .group import Group, read
from .hierarchies import CONTROLLERS, ON_DEMAND, Hierarchies
from .v1 import GroupV1
from .v2 import GroupV2


class Tree(Hierarchies):
    """The hierarchies of this host, with what they are for."""

    __slots__ = ()

    def group(self, parent: str, name: str) -> Group:
        """The handle of one guest's group, whether it is there or not."""
        kind = GroupV2 if self.version == 2 else GroupV1
        return kind(self, parent, name)


def detect() -> Tree:
    """Find the hierarchies in the mount table. Version 2 counts where it has any of our controllers; on a
    hybrid host they are where version 1 has them."""
    counting, demanded, legacy, unified = {}, {}, {}, None
    for mount in mount_table():
        if mount.fstype == "cgroup2":
            unified = unified or mount.target
            available = read(os.path.join(mount.target, "cgroup.controllers")).split()
            counting.update({name: mount.target for name in CONTROLLERS if name in available})
            demanded.update({name: mount.target for name in ON_DEMAND if name in available})
        elif mount.fstype == "cgroup":
            known = (*CONTROLLERS, *ON_DEMAND)
            legacy.update({name: mount.target for name in mount.options.split(",") if name in known})
    if counting:
        return Tree(2, {**counting, **demanded}, unified)
    return Tree(1, legacy, unified)
