# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jails run, by what the kernel says.

``/run/jails/NAME/live.json`` says where to look (pid, start time, boot) and with which settings the jail was
started; whether it runs is answered by a pidfd of exactly that process.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from .. import files, layout
from ..errors import JailError
from ..kernel import paths, pidfd
from ..kernel.cgroup import tree
from ..kernel.cgroup.group import Group
from . import resources as record_of_resources
from .isolation import record as record_of_isolation
from .isolation.record import Isolation
from .resources import Resources

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Running(NamedTuple):
    """A jail that runs.

    :param slot: its number (:mod:`ids`).
    :param first_id: the host id of its user 0; ``None`` in the host's user namespace.
    :param started_with: the settings of its start that only a restart changes.
    :param isolation: what holds its processes, and all that enter it.
    :param resources: what they begin with.
    """

    name: str
    pid: int
    start_time: int
    slot: int
    first_id: int | None
    started_with: dict[str, Any]
    started_at: float
    isolation: Isolation
    resources: Resources

    def open(self) -> int | None:
        """A pidfd of its pid 1; ``None`` when it ended meanwhile."""
        return pidfd.open_process(self.pid, self.start_time)

    def open_part(self, path: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of something below ``/proc/PID``, such as ``ns/uts`` and ``root``: of this jail and not of a
        process that has its number by now.

        :raises JailError: when it ended meanwhile.
        """
        descriptor = None
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            descriptor = os.open(f"/proc/{self.pid}/{path}", flags | os.O_CLOEXEC)
        target = self.open()  # it lives, so its number was its own all the time
        if target is not None:
            os.close(target)
            if descriptor is not None:
                return descriptor
        if descriptor is not None:
            os.close(descriptor)
        raise JailError("it has just ended", advice=f"look at its log with: jail log {self.name}")

    @property
    def group(self) -> Group:
        """Its cgroup."""
        return group_of(self.name)


@functools.lru_cache(maxsize=1)
def hierarchies() -> tree.Tree:
    """The host's cgroup hierarchies, found once for each process of ours."""
    return tree.detect()


def group_of(name: str) -> Group:
    """The cgroup of a jail, whether it is there or not."""
    return hierarchies().group(layout.CGROUP_PARENT, name)


@functools.lru_cache(maxsize=1)
def _boot() -> str:
    with open(_BOOT_ID, encoding="ascii") as file:
        return file.read().strip()


def record(running: Running) -> None:
    """Write a jail down as running, before its first instruction."""
    value = {**running._asdict(), "isolation": running.isolation._asdict(), "boot": _boot()}
    value["resources"] = running.resources._asdict()
    files.write_json(os.path.join(layout.running(running.name), "live.json"), value)


def find(name: str) -> Running | None:
    """The jail, when it runs."""
    value = files.read_json(os.path.join(layout.running(name), "live.json"))
    if value is None or value.pop("boot") != _boot():
        return None
    try:
        value["isolation"] = record_of_isolation.restored(value["isolation"])
        value["resources"] = record_of_resources.restored(value["resources"])
        running = Running(*(value[field] for field in Running._fields))
    except KeyError as error:
        raise JailError(
            f"it was started by another version of this collection, which recorded no {error}",
            advice=f"stop it by hand: kill -9 {value.get('pid')}",
        ) from error
    descriptor = running.open()
    if descriptor is None:
        return None
    os.close(descriptor)
    return running


def expect_known(name: str) -> None:
    """Refuse a name that no jail has.

    :raises JailError: then.
    """
    if not os.path.isdir(layout.desired(name)):
        raise JailError("there is no such jail on this host")


def expect(name: str) -> Running:
    """The jail, which must run.

    :raises JailError: when it does not.
    """
    expect_known(name)
    running = find(name)
    if running is None:
        raise JailError("it does not run", advice=f"start it with: jail start {name}")
    return running


def forget(name: str) -> None:
    """Drop the bookkeeping of a jail that does not run."""
    with contextlib.suppress(FileNotFoundError), paths.opened(paths.open_directory(layout.RUN)) as parent:
        paths.remove_tree(parent, name)


def names() -> Iterator[str]:
    """The jails that have left any trace of running: bookkeeping or a cgroup."""
    with contextlib.suppress(FileNotFoundError), os.scandir(layout.RUN) as entries:
        yield from (entry.name for entry in entries if not entry.name.startswith("."))
    yield from hierarchies().names(layout.CGROUP_PARENT)
