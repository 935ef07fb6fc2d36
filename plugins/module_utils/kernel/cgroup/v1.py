# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's control groups on version 1, one in each hierarchy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from ..devicefilter import Rule
from .figures import V1, V1_RATES
from .group import GUEST, Group, larger, read, write

_ALL_DEVICES = "a *:* rwm"


class GroupV1(Group):
    """A guest on version 1: ``PARENT/NAME`` in the hierarchy of each controller, and ``PARENT/NAME/guest`` in the
    unified one if that was handed over."""

    files = V1
    rates_controller = "blkio"

    def create(self) -> None:
        for directory in self._directories():
            os.makedirs(directory, exist_ok=True)

    def restrict_devices(self, rules: Sequence[Rule]) -> None:
        directory = self._directory("devices")
        wanted = {str(rule) for rule in rules}
        found = self._device_rules(directory)
        if _ALL_DEVICES in found:
            write(os.path.join(directory, "devices.deny"), "a")
            found = set()
        for text in sorted(found - wanted):
            write(os.path.join(directory, "devices.deny"), text)
        for text in sorted(wanted - found):
            with contextlib.suppress(PermissionError):  # what a group further up has closed stays closed
                write(os.path.join(directory, "devices.allow"), text)

    def devices_restricted(self, rules: Sequence[Rule]) -> bool:
        return self._device_rules(self._directory("devices")) <= {str(rule) for rule in rules}

    def rate(self, name: str, disk: str) -> int | None:
        limits = []
        for file in V1_RATES[name]:
            lines = read(self._of_rates(file)).splitlines()
            limits.append(next((int(line.split()[1]) for line in lines if line.split()[0] == disk), None))
        return larger(limits)

    def set_rate(self, name: str, disk: str, value: int | None) -> None:
        for file in V1_RATES[name]:
            write(self._of_rates(file), f"{disk} {value or 0}")

    def _device_rules(self, directory: str) -> set[str]:
        return set(read(os.path.join(directory, "devices.list")).splitlines())

    def join(self, pid: int = 0) -> None:
        for directory in self._directories():
            write(os.path.join(directory, "cgroup.procs"), str(pid))
        if self.is_handed_over():
            write(os.path.join(self._everywhere()[-1], GUEST, "cgroup.procs"), str(pid))
