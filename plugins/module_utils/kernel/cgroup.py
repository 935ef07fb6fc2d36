# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups, version 2 and version 1, behind one interface (cgroups(7), the kernel's admin-guide/cgroup-v2 and
cgroup-v1).

A :class:`Group` is one guest: on version 2 one directory with the limits and below it one for the processes, so
that a guest that is given its part of the tree cannot lift its own limits; on version 1 one directory in each
hierarchy. Limits have the same names and units on both: ``memory_max`` in bytes, ``cpu_quota`` in microseconds of
CPU time in each :data:`PERIOD`, ``pids_max`` in tasks. ``None`` is "unlimited". Rates are limits for one disk each:
``io_bytes`` and ``io_operations`` in each second, of reading and, once more, of writing.

What a guest can be given to rule itself (:meth:`Group.hand_over`) is a part of the unified hierarchy on both, and
without controllers: to sort its processes, not to share out what its limits leave it.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import os
import time
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple

from . import devicefilter, paths
from .devicefilter import Rule
from .mounts import mount_table

PERIOD = 100_000
"""Microseconds over which a CPU quota counts: the kernel's own default."""

_V1_UNLIMITED = 1 << 60  # memory.limit_in_bytes shows "no limit" as the largest page counter


class _File(NamedTuple):
    """Where one figure stands: its controller, its file, and how text and number become each other; and where else a
    limit has to be written, if it is there."""

    controller: str
    name: str
    parse: Callable[[str], int | None]
    format: Callable[[int | None], str]
    besides: str | None = None


def _number_or_max(text: str) -> int | None:
    return None if text.strip() == "max" else int(text)


def _or_max(value: int | None) -> str:
    return "max" if value is None else str(value)


def _v1_bytes(text: str) -> int | None:
    return int(text) if int(text) < _V1_UNLIMITED else None


def _minus_one(value: int | None) -> str:
    return "-1" if value is None else str(value)


def _v1_quota(text: str) -> int | None:
    return int(text) if int(text) >= 0 else None


def _v2_quota(text: str) -> int | None:
    quota, period = text.split()
    return None if quota == "max" else int(quota) * PERIOD // int(period)


def _v2_quota_text(value: int | None) -> str:
    return f"{_or_max(value)} {PERIOD}"


def _usage_usec(text: str) -> int | None:
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("usage_usec"))


def _nanoseconds(text: str) -> int | None:
    return int(text) // 1000


_V2 = {
    "memory_max": _File("memory", "memory.max", _number_or_max, _or_max),
    "cpu_quota": _File("cpu", "cpu.max", _v2_quota, _v2_quota_text),
    "pids_max": _File("pids", "pids.max", _number_or_max, _or_max),
    "memory_used": _File("memory", "memory.current", int, str),
    "pids_used": _File("pids", "pids.current", int, str),
    "cpu_used": _File("cpu", "cpu.stat", _usage_usec, str),
}
_V1 = {
    # What sockets hold has a counter of its own (admin-guide/cgroup-v1/memory, 2.7): TCP alone would take all memory.
    "memory_max": _File("memory", "memory.limit_in_bytes", _v1_bytes, _minus_one, "memory.kmem.tcp.limit_in_bytes"),
    "cpu_quota": _File("cpu", "cpu.cfs_quota_us", _v1_quota, _minus_one),
    "pids_max": _File("pids", "pids.max", _number_or_max, _or_max),
    "memory_used": _File("memory", "memory.usage_in_bytes", int, str),
    "pids_used": _File("pids", "pids.current", int, str),
    "cpu_used": _File("cpuacct", "cpuacct.usage", _nanoseconds, str),
}
_V2_RATES = {"io_bytes": ("rbps", "wbps"), "io_operations": ("riops", "wiops")}
_V1_RATES = {
    name: tuple(f"blkio.throttle.{way}_{unit}_device" for way in ("read", "write"))
    for name, unit in (("io_bytes", "bps"), ("io_operations", "iops"))
}
_ALL_DEVICES = "a *:* rwm"
CONTROLLERS = ("memory", "cpu", "pids", "cpuacct", "freezer", "blkio", "io", "devices")
"""Version 2 has no cpuacct, freezer and devices: it counts and freezes without, and devices are a matter of BPF. What
is ``io`` there is ``blkio`` on version 1. Where the host shares a disk out by group (the scheduler BFQ; ``io.cost``),
to be a group of its own is to have an equal share of it."""
_GUEST = "guest"
_MOST = "cgroup.max.descendants"
_HANDED_OVER = (".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control")
"""What belongs to whom a part of the unified hierarchy is delegated to (admin-guide/cgroup-v2, "Delegation")."""


def _larger(limits: Sequence[int | None]) -> int | None:
    return None if None in limits else max(limit for limit in limits if limit is not None)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    # One write(2), unbuffered: the kernel's answer belongs to this call, not to a later close.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"writing {text!r}: {error.strerror}", path) from error
    finally:
        os.close(descriptor)


def _remove_below(directory: str) -> None:
    """Remove a cgroup and the cgroups that a guest made below it; files in it are the kernel's own."""
    for folder, _children, _files in os.walk(directory, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(folder)


class Group(abc.ABC):
    """One guest's cgroup, in all hierarchies that count.

    :param tree: the hierarchies.
    :param parent: the directory, below each hierarchy's root, that all guests share.
    """

    files: Mapping[str, _File]
    rates_controller: str

    def __init__(self, tree: Tree, parent: str, name: str) -> None:
        self._tree = tree
        self._roots = tree.roots
        self._parent = parent
        self.name = name

    def _directories(self) -> list[str]:
        return [os.path.join(root, self._parent, self.name) for root in dict.fromkeys(self._roots.values())]

    def _everywhere(self) -> list[str]:
        """The directories, and that in the unified hierarchy where it does not count."""
        return [os.path.join(parent, self.name) for parent in self._tree.parents(self._parent)]

    def _place(self, figure: str) -> tuple[str, _File]:
        file = self.files[figure]
        return os.path.join(self._directory(file.controller), file.name), file

    def _directory(self, controller: str) -> str:
        """The group in the hierarchy of a controller.

        :raises OSError: ``EOPNOTSUPP`` where this host does not have it.
        """
        if controller not in self._roots:
            have = ", ".join(sorted(self._roots)) or "none"
            raise OSError(
                errno.EOPNOTSUPP,
                f"this host has no cgroup controller {controller!r} (it has: {have}); enable it on the kernel's "
                "command line (cgroup_enable=) or mount it",
            )
        return os.path.join(self._roots[controller], self._parent, self.name)

    def counts(self, figure: str) -> bool:
        """Whether this host has the controller of a figure."""
        return self.files[figure].controller in self._roots

    def get(self, figure: str) -> int | None:
        """Read a limit or a use; ``None`` is unlimited. ``FileNotFoundError`` when the group is not there."""
        path, file = self._place(figure)
        return file.parse(_read(path))

    def set(self, limit: str, value: int | None) -> None:
        """Write a limit; it holds at once."""
        path, file = self._place(limit)
        _write(path, file.format(value))
        if file.besides is not None:
            with contextlib.suppress(FileNotFoundError):
                _write(os.path.join(os.path.dirname(path), file.besides), file.format(value))

    @abc.abstractmethod
    def rate(self, name: str, disk: str) -> int | None:
        """A rate's limit, the larger one of reading and writing; ``None`` is unlimited.

        :param disk: its numbers, such as ``8:0``; not those of a partition.
        """

    @abc.abstractmethod
    def set_rate(self, name: str, disk: str, value: int | None) -> None:
        """Write the limit of a rate, for reading and for writing; it holds at once."""

    def has_rates(self) -> bool:
        """Whether this host can limit rates."""
        return self.rates_controller in self._roots

    def _of_rates(self, file: str) -> str:
        return os.path.join(self._directory(self.rates_controller), file)

    def exists(self) -> bool:
        """Whether any part of the group is there."""
        return any(os.path.isdir(directory) for directory in self._everywhere())

    @abc.abstractmethod
    def create(self) -> None:
        """Make the group where it is missing."""

    @abc.abstractmethod
    def join(self, pid: int = 0) -> None:
        """Move a process (0: the caller) into the group."""

    def hand_over(self, pid: int, owner: int, most: int) -> None:
        """Make a part of the unified hierarchy below the group's own, hand it over to a user to make groups in, and
        move a process into it that has joined the group.

        :param owner: user and group.
        :param most: groups that there can be in it.
        :raises OSError: ``EOPNOTSUPP`` where no unified hierarchy is mounted.
        """
        if self._tree.unified is None:
            raise OSError(errno.EOPNOTSUPP, "this host has no unified cgroup hierarchy mounted")
        own = os.path.join(self._tree.unified, self._parent, self.name)
        part = os.path.join(own, _GUEST)
        os.makedirs(part, exist_ok=True)
        _write(os.path.join(own, _MOST), str(most + 1))
        for name in _HANDED_OVER:
            os.chown(os.path.join(part, name), owner, owner)
        _write(os.path.join(part, "cgroup.procs"), str(pid))

    def is_handed_over(self) -> bool:
        """Whether there is such a part: nobody else has a number that holds their groups."""
        if self._tree.unified is None:
            return False
        with contextlib.suppress(FileNotFoundError):
            return _number_or_max(_read(os.path.join(self._tree.unified, self._parent, self.name, _MOST))) is not None
        return False

    @abc.abstractmethod
    def restrict_devices(self, rules: Sequence[Rule]) -> None:
        """Let the processes of the group, and of all below it, open these devices and no others.

        :raises OSError: ``EOPNOTSUPP`` where the host has no means for it.
        """

    @abc.abstractmethod
    def devices_restricted(self, rules: Sequence[Rule]) -> bool:
        """Whether nothing else can be opened."""

    def processes(self) -> list[int]:
        """The pids in the group and below, as this pid namespace numbers them."""
        found: set[int] = set()
        for directory in self._directories()[:1]:
            for folder, _children, _files in os.walk(directory):
                with contextlib.suppress(OSError):  # a cgroup that goes away while we look has no processes
                    found.update(int(pid) for pid in _read(os.path.join(folder, "cgroup.procs")).split())
        return sorted(found)

    def remove(self, seconds: float = 5.0) -> None:
        """Remove the group; processes that are just ending are waited for.

        :raises OSError: ``EBUSY`` when processes are left after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        for directory in self._everywhere():
            while os.path.isdir(directory):
                try:
                    _remove_below(directory)
                except OSError as error:
                    if error.errno != errno.EBUSY or time.monotonic() > deadline:
                        raise
                    time.sleep(0.005)

    def remove_parent(self) -> None:
        """Remove the directory that all guests share, where it is empty."""
        for directory in self._tree.parents(self._parent):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(directory)


class GroupV2(Group):
    """A guest on the unified hierarchy: ``PARENT/NAME`` holds the limits, ``PARENT/NAME/guest`` the processes."""

    files = _V2
    rates_controller = "io"

    def create(self) -> None:
        (root,) = set(self._roots.values())
        for above in (root, os.path.join(root, self._parent)):
            os.makedirs(above, exist_ok=True)
            self._enable(above)
        os.makedirs(os.path.join(root, self._parent, self.name, _GUEST), exist_ok=True)

    def restrict_devices(self, rules: Sequence[Rule]) -> None:
        with paths.opened(self._open_directory()) as directory:
            devicefilter.attach(directory, rules)

    def devices_restricted(self, rules: Sequence[Rule]) -> bool:
        with paths.opened(self._open_directory()) as directory:
            return devicefilter.holds(directory, rules)

    def rate(self, name: str, disk: str) -> int | None:
        lines = _read(self._of_rates("io.max")).splitlines()
        found = [line.split()[1:] for line in lines if line.split()[0] == disk]
        limits = dict(word.split("=") for words in found for word in words)
        return _larger([_number_or_max(limits.get(key, "max")) for key in _V2_RATES[name]])

    def set_rate(self, name: str, disk: str, value: int | None) -> None:
        words = [f"{key}={_or_max(value)}" for key in _V2_RATES[name]]
        _write(self._of_rates("io.max"), " ".join([disk, *words]))

    def _open_directory(self) -> int:
        return os.open(self._directories()[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _enable(self, directory: str) -> None:
        control = os.path.join(directory, "cgroup.subtree_control")
        on = _read(control).split()
        for controller in self._roots:
            if controller not in on and controller != "cpuacct":
                _write(control, f"+{controller}")

    def join(self, pid: int = 0) -> None:
        _write(os.path.join(self._directories()[0], _GUEST, "cgroup.procs"), str(pid))


class GroupV1(Group):
    """A guest on version 1: ``PARENT/NAME`` in the hierarchy of each controller, and ``PARENT/NAME/guest`` in the
    unified one if that was handed over."""

    files = _V1
    rates_controller = "blkio"

    def create(self) -> None:
        for directory in self._directories():
            os.makedirs(directory, exist_ok=True)

    def restrict_devices(self, rules: Sequence[Rule]) -> None:
        directory = self._directory("devices")
        wanted = {str(rule) for rule in rules}
        found = self._device_rules(directory)
        if _ALL_DEVICES in found:
            _write(os.path.join(directory, "devices.deny"), "a")
            found = set()
        for text in sorted(found - wanted):
            _write(os.path.join(directory, "devices.deny"), text)
        for text in sorted(wanted - found):
            with contextlib.suppress(PermissionError):  # what a group further up has closed stays closed
                _write(os.path.join(directory, "devices.allow"), text)

    def devices_restricted(self, rules: Sequence[Rule]) -> bool:
        return self._device_rules(self._directory("devices")) <= {str(rule) for rule in rules}

    def rate(self, name: str, disk: str) -> int | None:
        limits = []
        for file in _V1_RATES[name]:
            lines = _read(self._of_rates(file)).splitlines()
            limits.append(next((int(line.split()[1]) for line in lines if line.split()[0] == disk), None))
        return _larger(limits)

    def set_rate(self, name: str, disk: str, value: int | None) -> None:
        for file in _V1_RATES[name]:
            _write(self._of_rates(file), f"{disk} {value or 0}")

    def _device_rules(self, directory: str) -> set[str]:
        return set(_read(os.path.join(directory, "devices.list")).splitlines())

    def join(self, pid: int = 0) -> None:
        for directory in self._directories():
            _write(os.path.join(directory, "cgroup.procs"), str(pid))
        if self.is_handed_over():
            _write(os.path.join(self._everywhere()[-1], _GUEST, "cgroup.procs"), str(pid))


class Tree(NamedTuple):
    """The hierarchies of this host.

    :param version: 2 when the controllers are on the unified one, else 1.
    :param roots: mount point by controller.
    :param unified: mount point of the unified one, with controllers or without; ``None`` where there is none.
    """

    version: int
    roots: Mapping[str, str]
    unified: str | None = None

    def group(self, parent: str, name: str) -> Group:
        """The handle of one guest's group, whether it is there or not."""
        kind = GroupV2 if self.version == 2 else GroupV1
        return kind(self, parent, name)

    def counts(self, controllers: str) -> bool:
        """Whether the hierarchy with these controllers (as ``/proc/PID/cgroup`` names them) is one of these."""
        return self.version == 2 if not controllers else bool(set(controllers.split(",")) & set(self.roots))

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


def detect() -> Tree:
    """Find the hierarchies in the mount table. Version 2 counts where it has any of our controllers; on a
    hybrid host they are where version 1 has them."""
    counting, legacy, unified = {}, {}, None
    for mount in mount_table():
        if mount.fstype == "cgroup2":
            unified = unified or mount.target
            available = _read(os.path.join(mount.target, "cgroup.controllers")).split()
            counting.update({name: mount.target for name in CONTROLLERS if name in available})
        elif mount.fstype == "cgroup":
            legacy.update({name: mount.target for name in mount.options.split(",") if name in CONTROLLERS})
    if counting:
        return Tree(2, counting, unified)
    return Tree(1, legacy, unified)
