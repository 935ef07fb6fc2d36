# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's control group on version 2, the unified hierarchy."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping, Sequence

from .. import devicefilter, paths
from ..devicefilter import Rule
from .figures import LATENCY, RATES, V2, number_or_max, or_max
from .group import GUEST, Group, read, write
from .hierarchies import ON_DEMAND


class GroupV2(Group):
    """A guest on the unified hierarchy: ``PARENT/NAME`` holds the limits, ``PARENT/NAME/guest`` the processes."""

    version = 2
    files = V2
    huge_page_files = ("hugetlb.{}.max", "hugetlb.{}.rsvd.max")
    parse_bytes = staticmethod(number_or_max)
    format_bytes = staticmethod(or_max)
    other_version = "control groups of version 2 have no such thing"
    rates_controller = "io"

    def create(self) -> None:
        (root,) = set(self._roots.values())
        for above in (root, os.path.join(root, self._parent)):
            os.makedirs(above, exist_ok=True)
            self._enable(above, [each for each in self._roots if each not in (*ON_DEMAND, "cpuacct")])
        os.makedirs(os.path.join(root, self._parent, self.name, GUEST), exist_ok=True)

    def restrict_devices(self, rules: Sequence[Rule]) -> None:
        with paths.opened(self._open_directory()) as directory:
            devicefilter.attach(directory, rules)

    def devices_restricted(self, rules: Sequence[Rule]) -> bool:
        with paths.opened(self._open_directory()) as directory:
            return devicefilter.holds(directory, rules)

    def set(self, limit: str, value: int | None) -> None:
        if limit == "memory_max" and value is not None:
            self._reclaim(value)
        super().set(limit, value)

    def _reclaim(self, most: int) -> None:
        """Take memory back until no more than so much is in use: to set a limit below it would have the kernel kill."""
        used = self.get("memory_used") or 0
        while used > most:
            try:
                write(os.path.join(self.directory("memory"), "memory.reclaim"), str(used - most))
            except BlockingIOError:
                pass  # it took back less than it was asked for
            except FileNotFoundError:
                return  # it came with Linux 5.19; memory.max does so too, and kills for the rest
            before, used = used, self.get("memory_used") or 0
            if used > most and used >= before:
                raise OSError(errno.EBUSY, f"{used} bytes are in use, and no more can be taken back")

    def disks(self) -> Mapping[str, Mapping[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for file in ("io.max", "io.latency"):
            for line in self._lines(file):
                disk, *words = line.split()
                pairs = [word.split("=") for word in words]
                limits = {LATENCY if key == "target" else key: int(value) for key, value in pairs if value != "max"}
                found.setdefault(disk, {}).update(limits)
        return {disk: limits for disk, limits in found.items() if limits}

    def _lines(self, file: str) -> list[str]:
        if self.lacks("io"):
            return []
        with contextlib.suppress(FileNotFoundError):
            return read(os.path.join(self.directory("io"), file)).splitlines()
        return []

    def limit_disk(self, disk: str, limits: Mapping[str, int | None]) -> None:
        directory = self.directory("io")
        rates = [f"{rate}={or_max(limits[rate])}" for rate in RATES if rate in limits]
        if rates:
            write(os.path.join(directory, "io.max"), " ".join([disk, *rates]))
        if LATENCY in limits:
            lacks = self.lacks_latency()
            if lacks is not None:
                raise OSError(errno.EOPNOTSUPP, lacks)
            write(os.path.join(directory, "io.latency"), f"{disk} target={or_max(limits[LATENCY])}")

    def lacks_latency(self) -> str | None:
        if self.lacks("io"):
            return self.lacks("io")
        directory = self.directory("io")
        if not os.path.isdir(directory) or os.path.exists(os.path.join(directory, "io.latency")):
            return None
        return "this kernel's cgroup controller 'io' has no io.latency; it takes CONFIG_BLK_CGROUP_IOLATENCY"

    def use(self, controller: str) -> None:
        self.directory(controller)
        for above in self.above(controller):
            self._enable(above, [controller])

    def processors(self, kind: str) -> str | None:
        directory = self.directory("cpuset")
        with contextlib.suppress(FileNotFoundError):
            found = read(os.path.join(directory, f"cpuset.{kind}")).strip()
            return None if not found or found == self._every(kind) else found
        return None

    def confine(self, kind: str, processors: str | None) -> None:
        self.use("cpuset")
        path = os.path.join(self.directory("cpuset"), f"cpuset.{kind}")
        try:
            write(path, f"{processors or ''}\n")
        except OSError as error:
            # With processes in it, it cannot say nothing any more (kernel/cgroup/cpuset.c, validate_change).
            if processors is not None or error.errno != errno.ENOSPC:
                raise
            write(path, self._every(kind))

    def _every(self, kind: str) -> str:
        """All that the group of all guests has."""
        return read(os.path.join(self.above("cpuset")[1], f"cpuset.{kind}.effective")).strip()

    def text(self, file: str) -> str:
        """The text of any file of the group.

        :raises OSError: ``EOPNOTSUPP`` where it has no such file.
        """
        directory = self._directories()[0]
        path = os.path.join(directory, file)
        if not os.path.exists(path) and os.path.isdir(directory):
            self._bring_about(file)
        return read(path).strip()

    def set_text(self, file: str, text: str) -> None:
        """Write any file of the group."""
        write(os.path.join(self._directories()[0], file), text)

    def _bring_about(self, file: str) -> None:
        """Switch on the controller after which a file is named, whichever it is."""
        controller, root = file.partition(".")[0], self._directories()[0].removesuffix(f"/{self._parent}/{self.name}")
        if controller in read(os.path.join(root, "cgroup.controllers")).split():
            for above in (root, os.path.join(root, self._parent)):
                self._enable(above, [controller])
        if not os.path.exists(os.path.join(self._directories()[0], file)):
            raise OSError(errno.EOPNOTSUPP, f"a control group of this kernel has no file {file}")

    def _open_directory(self) -> int:
        return os.open(self._directories()[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _enable(self, directory: str, controllers: Sequence[str]) -> None:
        control = os.path.join(directory, "cgroup.subtree_control")
        on = read(control).split()
        for controller in controllers:
            if controller not in on:
                write(control, f"+{controller}")

    def join(self, pid: int = 0) -> None:
        write(os.path.join(self._directories()[0], GUEST, "cgroup.procs"), str(pid))
