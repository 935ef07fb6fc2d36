# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's control groups on version 1, one in each hierarchy."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping, Sequence

from ..devicefilter import Rule
from .figures import LATENCY, V1, V1_RATES, bytes_or_none, or_minus_one
from .group import GUEST, Group, read, write
from .hierarchies import ON_DEMAND

_ONLY_V2 = (
    "control groups of version 1, which this host has, have no such thing; version 2 has it, where the controllers are "
    "on the unified hierarchy (with systemd: systemd.unified_cgroup_hierarchy=1 on the kernel's command line)"
)
_PASSES = 100
_ALL_DEVICES = "a *:* rwm"


class GroupV1(Group):
    """A guest on version 1: ``PARENT/NAME`` in the hierarchy of each controller, and ``PARENT/NAME/guest`` in the
    unified one if that was handed over."""

    version = 1
    files = V1
    huge_page_files = ("hugetlb.{}.limit_in_bytes", "hugetlb.{}.rsvd.limit_in_bytes")
    parse_bytes = staticmethod(bytes_or_none)
    format_bytes = staticmethod(or_minus_one)
    other_version = _ONLY_V2
    rates_controller = "blkio"

    def create(self) -> None:
        for directory in self._directories():
            os.makedirs(directory, exist_ok=True)

    def _directories(self) -> list[str]:
        """Those of the controllers that always count, and of others that it uses."""
        places = super()._directories()
        late = {self.directory(controller) for controller in ON_DEMAND if not self.lacks(controller)}
        always = {self.directory(controller) for controller in self._roots if controller not in ON_DEMAND}
        return [place for place in places if place in always or (place in late and os.path.isdir(place))]

    def use(self, controller: str) -> None:
        own = self.directory(controller)
        if os.path.isdir(own):
            return
        places = [*self.above(controller), own]
        for above, place in zip(places, places[1:]):
            with contextlib.suppress(FileExistsError):
                os.mkdir(place)
            if controller == "cpuset":
                _fill(above, place)
        self._take_along(own)

    def _take_along(self, directory: str) -> None:
        """Move all processes, also those that are begun meanwhile."""
        procs = os.path.join(directory, "cgroup.procs")
        for _pass in range(_PASSES):
            left = set(self.processes()) - set(map(int, read(procs).split()))
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    write(procs, str(pid))
        raise OSError(errno.EAGAIN, "it begins processes faster than they can be moved", directory)

    def processors(self, kind: str) -> str | None:
        own = self.directory("cpuset")
        with contextlib.suppress(FileNotFoundError):
            found, most = (read(os.path.join(place, f"cpuset.{kind}")) for place in (own, os.path.dirname(own)))
            return None if found == most else found.strip()
        return None

    def confine(self, kind: str, processors: str | None) -> None:
        self.use("cpuset")
        own = self.directory("cpuset")
        every = read(os.path.join(os.path.dirname(own), f"cpuset.{kind}")).strip()
        write(os.path.join(own, f"cpuset.{kind}"), every if processors is None else processors)

    def get(self, figure: str) -> int | None:
        if figure != "swap_max":
            return super().get(figure)
        both, memory = super().get("swap_max"), super().get("memory_max")
        return None if both is None or memory is None else both - memory

    def set(self, limit: str, value: int | None) -> None:
        if limit == "swap_max":
            self._set_both(value, self.get("memory_max"))
        elif limit == "memory_max" and self._limits_swap():
            self._move_both(value)
        else:
            super().set(limit, value)

    def _limits_swap(self) -> bool:
        """Whether memory and swap together have a limit."""
        with contextlib.suppress(OSError):
            return super().get("swap_max") is not None
        return False

    def _set_both(self, swap: int | None, memory: int | None) -> None:
        if swap is not None and memory is None:
            raise OSError(errno.EINVAL, "version 1 limits swap by a limit of memory and swap, and memory has none")
        super().set("swap_max", None if swap is None or memory is None else memory + swap)

    def _move_both(self, memory: int | None) -> None:
        """Memory alone never has more than memory and swap: which of the two is written first depends."""
        before, swap = self.get("memory_max"), self.get("swap_max")
        grows = memory is None or (before is not None and memory > before)
        if grows:
            self._set_both(None if memory is None else swap, memory)
        super().set("memory_max", memory)
        if not grows:
            self._set_both(swap, memory)

    def lacks_latency(self) -> str | None:
        return self.other_version

    def restrict_devices(self, rules: Sequence[Rule]) -> None:
        directory = self.directory("devices")
        wanted = {str(rule) for rule in rules}
        found = _device_rules(directory)
        if _ALL_DEVICES in found:
            write(os.path.join(directory, "devices.deny"), "a")
            found = set()
        for text in sorted(found - wanted):
            write(os.path.join(directory, "devices.deny"), text)
        for text in sorted(wanted - found):
            with contextlib.suppress(PermissionError):  # what a group further up has closed stays closed
                write(os.path.join(directory, "devices.allow"), text)

    def devices_restricted(self, rules: Sequence[Rule]) -> bool:
        return _device_rules(self.directory("devices")) <= {str(rule) for rule in rules}

    def disks(self) -> Mapping[str, Mapping[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for rate, file in V1_RATES.items() if not self.lacks("blkio") else ():
            for line in read(os.path.join(self.directory("blkio"), file)).splitlines():
                disk, value = line.split()
                found.setdefault(disk, {})[rate] = int(value)
        return found

    def limit_disk(self, disk: str, limits: Mapping[str, int | None]) -> None:
        directory = self.directory("blkio")
        if limits.get(LATENCY) is not None:
            raise OSError(errno.EOPNOTSUPP, self.other_version)
        for rate, file in V1_RATES.items():
            if rate in limits:
                write(os.path.join(directory, file), f"{disk} {limits[rate] or 0}")

    def join(self, pid: int = 0) -> None:
        for directory in self._directories():
            write(os.path.join(directory, "cgroup.procs"), str(pid))
        if self.is_handed_over():
            write(os.path.join(self._everywhere()[-1], GUEST, "cgroup.procs"), str(pid))


def _fill(above: str, place: str) -> None:
    """Give a cpuset what the one above has: a new one has nothing, and takes no process (cpuset(7))."""
    for kind in ("cpus", "mems"):
        path = os.path.join(place, f"cpuset.{kind}")
        if not read(path).strip():
            write(path, read(os.path.join(above, f"cpuset.{kind}")).strip())


def _device_rules(directory: str) -> set[str]:
    return set(read(os.path.join(directory, "devices.list")).splitlines())
