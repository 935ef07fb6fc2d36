# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hierarchies of control groups this host has (cgroups(7))."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import NamedTuple

CONTROLLERS = ("memory", "cpu", "pids", "cpuacct", "freezer", "blkio", "io", "devices")
"""Version 2 has no cpuacct, freezer and devices: it counts and freezes without, and devices are a matter of BPF. What
is ``io`` there is ``blkio`` on version 1. Where the host shares a disk out by group (the scheduler BFQ; ``io.cost``),
to be a group of its own is to have an equal share of it."""
ON_DEMAND = ("cpuset", "hugetlb")
"""Controllers whose groups are made when the first limit is set: to join another hierarchy takes a start its time."""


class Hierarchies(NamedTuple):
    """The hierarchies of this host.

    :param version: 2 when the controllers are on the unified one, else 1.
    :param roots: mount point by controller.
    :param unified: mount point of the unified one, with controllers or without; ``None`` where there is none.
    """

    version: int
    roots: Mapping[str, str]
    unified: str | None = None

    def counts(self, controllers: str) -> bool:
        """Whether every guest has a group in the hierarchy with these controllers (as ``/proc/PID/cgroup`` names
        them)."""
        always = set(self.roots) - set(ON_DEMAND)
        return self.version == 2 if not controllers else bool(set(controllers.split(",")) & always)

    def parents(self, parent: str) -> list[str]:
        """The directories that all guests share, whether they are there or not; that in the unified hierarchy last."""
        roots = dict.fromkeys([*self.roots.values(), *filter(None, [self.unified])])
        return [os.path.join(root, parent) for root in roots]

    def names(self, parent: str) -> list[str]:
        """The names of the groups that are there below ``parent``."""
        found: set[str] = set()
        for directory in self.parents(parent):
            with contextlib.suppress(FileNotFoundError):
                found.update(entry.name for entry in os.scandir(directory) if entry.is_dir())
        return sorted(found)
