# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's control group on version 2, the unified hierarchy."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .. import devicefilter, paths
from ..devicefilter import Rule
from .figures import V2, V2_RATES, number_or_max, or_max
from .group import GUEST, Group, larger, read, write


class GroupV2(Group):
    """A guest on the unified hierarchy: ``PARENT/NAME`` holds the limits, ``PARENT/NAME/guest`` the processes."""

    files = V2
    rates_controller = "io"

    def create(self) -> None:
        (root,) = set(self._roots.values())
        for above in (root, os.path.join(root, self._parent)):
            os.makedirs(above, exist_ok=True)
            self._enable(above)
        os.makedirs(os.path.join(root, self._parent, self.name, GUEST), exist_ok=True)

    def restrict_devices(self, rules: Sequence[Rule]) -> None:
        with paths.opened(self._open_directory()) as directory:
            devicefilter.attach(directory, rules)

    def devices_restricted(self, rules: Sequence[Rule]) -> bool:
        with paths.opened(self._open_directory()) as directory:
            return devicefilter.holds(directory, rules)

    def rate(self, name: str, disk: str) -> int | None:
        lines = read(self._of_rates("io.max")).splitlines()
        found = [line.split()[1:] for line in lines if line.split()[0] == disk]
        limits = dict(word.split("=") for words in found for word in words)
        return larger([number_or_max(limits.get(key, "max")) for key in V2_RATES[name]])

    def set_rate(self, name: str, disk: str, value: int | None) -> None:
        words = [f"{key}={or_max(value)}" for key in V2_RATES[name]]
        write(self._of_rates("io.max"), " ".join([disk, *words]))

    def _open_directory(self) -> int:
        return os.open(self._directories()[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _enable(self, directory: str) -> None:
        control = os.path.join(directory, "cgroup.subtree_control")
        on = read(control).split()
        for controller in self._roots:
            if controller not in on and controller != "cpuacct":
                write(control, f"+{controller}")

    def join(self, pid: int = 0) -> None:
        write(os.path.join(self._directories()[0], GUEST, "cgroup.procs"), str(pid))
