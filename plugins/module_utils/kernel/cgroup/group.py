# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups, version 2 and version 1, behind one interface (cgroups(7), the kernel's admin-guide/cgroup-v2 and
cgroup-v1).

A :class:`Group` is one guest: on version 2 one directory with the limits and below it one for the processes, so
that a guest that is given its part of the tree cannot lift its own limits; on version 1 one directory in each
hierarchy. Limits have the same names and units on both: ``memory_max`` in bytes, ``cpu_quota`` in microseconds of
CPU time in each :data:`figures.PERIOD`, ``pids_max`` in tasks. ``None`` is "unlimited". A disk has limits of its own,
:data:`figures.RATES` and :data:`figures.LATENCY`.

What this host cannot give is an ``OSError`` with ``EOPNOTSUPP`` and a sentence (:meth:`Group.missing`).

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
from typing import Callable

from .. import wholefiles
from ..devicefilter import Rule
from .figures import File, number_or_max
from .hierarchies import Hierarchies

GUEST = "guest"
"""The directory, below a guest's own, of its processes on version 2, and of what is handed over to it."""
_MOST = "cgroup.max.descendants"
_HANDED_OVER = (".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control")
"""What belongs to whom a part of the unified hierarchy is delegated to (admin-guide/cgroup-v2, "Delegation")."""


def read(path: str) -> str:
    """The text of a control group's file."""
    return wholefiles.read(path).decode()


def write(path: str, text: str) -> None:
    """Write a control group's file; an ``OSError`` tells also what was written."""
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

    version: int
    files: Mapping[str, File]
    huge_page_files: tuple[str, str]
    parse_bytes: Callable[[str], int | None]
    format_bytes: Callable[[int | None], str]
    other_version: str
    rates_controller: str

    def __init__(self, tree: Hierarchies, parent: str, name: str) -> None:
        self._tree = tree
        self._roots = tree.roots
        self._parent = parent
        self.name = name

    def _directories(self) -> list[str]:
        return [os.path.join(root, self._parent, self.name) for root in dict.fromkeys(self._roots.values())]

    def _everywhere(self) -> list[str]:
        """The directories, and that in the unified hierarchy where it does not count."""
        return [os.path.join(parent, self.name) for parent in self._tree.parents(self._parent)]

    def missing(self, figure: str) -> str | None:
        """Why this host cannot give a figure, and what would; ``None`` where it can."""
        file = self.files.get(figure)
        if file is None:
            return self.other_version
        if self.lacks(file.controller):
            return self.lacks(file.controller)
        directory = self.directory(file.controller)
        if not os.path.isdir(directory) or any(os.path.exists(path) for path in self._paths(file)):
            return None
        return f"this kernel's cgroup controller {file.controller!r} has no {file.name}; it takes {file.needs}"

    def lacks(self, controller: str) -> str | None:
        """Why this host has no such controller; ``None`` where it has."""
        if controller in self._roots:
            return None
        have = ", ".join(sorted(self._roots)) or "none"
        return (
            f"this host has no cgroup controller {controller!r} (it has: {have}); enable it on the kernel's "
            f"command line (cgroup_enable={controller}) or mount it"
        )

    def directory(self, controller: str) -> str:
        """The group in the hierarchy of a controller.

        :raises OSError: ``EOPNOTSUPP`` where this host does not have it.
        """
        lacks = self.lacks(controller)
        if lacks is not None:
            raise OSError(errno.EOPNOTSUPP, lacks)
        return os.path.join(self._roots[controller], self._parent, self.name)

    def above(self, controller: str) -> list[str]:
        """The root of the hierarchy of a controller, and the directory in it that all guests share."""
        return [self._roots[controller], os.path.join(self._roots[controller], self._parent)]

    def _paths(self, file: File) -> list[str]:
        """Where a figure can stand."""
        directory = self.directory(file.controller)
        return [os.path.join(directory, name) for name in (file.name, file.besides) if name is not None]

    def _file(self, figure: str) -> File:
        if figure not in self.files:
            raise OSError(errno.EOPNOTSUPP, self.other_version)
        return self.files[figure]

    def counts(self, figure: str) -> bool:
        """Whether this host has the controller of a figure."""
        return figure in self.files and self.files[figure].controller in self._roots

    def get(self, figure: str) -> int | None:
        """Read a limit or a use; ``None`` is unlimited. ``FileNotFoundError`` when the group is not there."""
        file = self._file(figure)
        places = self._paths(file)
        for path in places:
            with contextlib.suppress(FileNotFoundError):
                return file.parse(read(path))
        raise self._not_there(figure, places[0])

    def set(self, limit: str, value: int | None) -> None:
        """Write a limit; it holds at once.

        :raises OSError: ``EBUSY`` for memory when more is in use and cannot be taken back.
        """
        file = self._file(limit)
        places, written = self._paths(file), False
        for path in places:
            with contextlib.suppress(FileNotFoundError):
                write(path, file.format(value))
                written = True
        if not written:
            raise self._not_there(limit, places[0])

    def _not_there(self, figure: str, path: str) -> OSError:
        missing = self.missing(figure)
        if missing is not None:
            return OSError(errno.EOPNOTSUPP, missing)
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    @abc.abstractmethod
    def disks(self) -> Mapping[str, Mapping[str, int]]:
        """The limits of disks, by disk and kind. A disk is named by its numbers, such as ``8:0``; not those of a
        partition."""

    @abc.abstractmethod
    def limit_disk(self, disk: str, limits: Mapping[str, int | None]) -> None:
        """Write limits of a disk; they hold at once. Other kinds of limits stay."""

    @abc.abstractmethod
    def lacks_latency(self) -> str | None:
        """Why this host has no limits of latency; ``None`` where it has."""

    @abc.abstractmethod
    def use(self, controller: str) -> None:
        """Have the group, with all processes in it, also where a controller of :data:`hierarchies.ON_DEMAND` counts."""

    @abc.abstractmethod
    def processors(self, kind: str) -> str | None:
        """On which CPUs or memory nodes the group runs, as the kernel lists them; ``None``: on all that there are.

        :param kind: ``cpus`` or ``mems``.
        """

    @abc.abstractmethod
    def confine(self, kind: str, processors: str | None) -> None:
        """Write this; it holds at once."""

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
        part = os.path.join(own, GUEST)
        os.makedirs(part, exist_ok=True)
        write(os.path.join(own, _MOST), str(most + 1))
        for name in _HANDED_OVER:
            os.chown(os.path.join(part, name), owner, owner)
        write(os.path.join(part, "cgroup.procs"), str(pid))

    def is_handed_over(self) -> bool:
        """Whether there is such a part: nobody else has a number that holds their groups."""
        if self._tree.unified is None:
            return False
        with contextlib.suppress(FileNotFoundError):
            return number_or_max(read(os.path.join(self._tree.unified, self._parent, self.name, _MOST))) is not None
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
                    found.update(int(pid) for pid in read(os.path.join(folder, "cgroup.procs")).split())
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
