# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control group takes and has taken, with whatever its version and this host can tell.

Of both versions the same figures; what is not counted here is ``None``. A few files are read for each group.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Iterable, Mapping
from typing import Callable, NamedTuple

from .. import pressure
from ..pressure import Pressure
from .group import Group, read

_NONE: Mapping[str, int] = {}


class Usage(NamedTuple):
    """Counts since the group was made, but for memory, swap and tasks, which are those of now.

    :param cpu: microseconds.
    :param throttled: microseconds that its CPUs were held back by its quota, and the periods in which they were.
    :param memory: bytes, page cache included; ``swap`` likewise.
    :param oom_kills: processes that were killed because memory was short.
    :param tasks: processes and threads.
    :param disks: bytes and operations of reading and writing, of all disks together; what goes through two, as with
        LVM or a loop device, counts for both.
    :param pressure: by :data:`pressure.RESOURCES`; ``None`` on version 1, which knows that of the host only.
    """

    cpu: int | None
    throttled: tuple[int, int] | None
    memory: int | None
    memory_max: int | None
    swap: int | None
    oom_kills: int | None
    tasks: int | None
    tasks_max: int | None
    disks: Mapping[str, int] | None
    pressure: Mapping[str, Pressure] | None


def of(group: Group) -> Usage:
    """What a group takes. All is ``None`` where it is not there any more."""
    return Usage(
        cpu=_figure(group, "cpu_used"),
        throttled=_throttled(group),
        memory=_figure(group, "memory_used"),
        memory_max=_figure(group, "memory_max"),
        swap=_swap(group),
        oom_kills=_from(group, "memory", _OOM[group.version], _words).get("oom_kill"),
        tasks=_figure(group, "pids_used"),
        tasks_max=_figure(group, "pids_max"),
        disks=_disks_v2(group) if group.version == 2 else _disks_v1(group),
        pressure=_pressure(group) if group.version == 2 else None,
    )


_OOM = {2: "memory.events", 1: "memory.oom_control"}
_DISKS_V1 = {
    "blkio.throttle.io_service_bytes_recursive": {"Read": "read_bytes", "Write": "written_bytes"},
    "blkio.throttle.io_serviced_recursive": {"Read": "reads", "Write": "writes"},
}
_DISKS_V2 = {"rbytes": "read_bytes", "wbytes": "written_bytes", "rios": "reads", "wios": "writes"}
DISKS = tuple(_DISKS_V2.values())


def _figure(group: Group, name: str) -> int | None:
    try:
        return group.get(name)
    except OSError as error:
        _not_here(error)
        return None


def _from(group: Group, controller: str, file: str, parse: Callable[[str], Mapping[str, int]]) -> Mapping[str, int]:
    """What a file says; nothing where it is not there."""
    try:
        return parse(read(os.path.join(group.directory(controller), file)))
    except OSError as error:
        _not_here(error)
        return _NONE


def _not_here(error: OSError) -> None:
    if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV):
        raise error


def _words(text: str) -> dict[str, int]:
    """A file of names and numbers."""
    return {name: int(number) for name, number in (line.split() for line in text.splitlines())}


def _throttled(group: Group) -> tuple[int, int] | None:
    found = _from(group, "cpu", "cpu.stat", _words)
    if "nr_throttled" not in found:
        return None
    time = found["throttled_usec"] if "throttled_usec" in found else found["throttled_time"] // 1000
    return time, found["nr_throttled"]


def _swap(group: Group) -> int | None:
    if group.version == 2:
        return _from(group, "memory", "memory.swap.current", _number).get("")
    both = _from(group, "memory", "memory.memsw.usage_in_bytes", _number).get("")
    memory = _figure(group, "memory_used")
    return None if both is None or memory is None else max(0, both - memory)


def _number(text: str) -> dict[str, int]:
    return {"": int(text)}


def _disks_v2(group: Group) -> Mapping[str, int] | None:
    def parse(text: str) -> dict[str, int]:
        pairs = (word.split("=") for line in text.splitlines() for word in line.split()[1:])
        return _sums((_DISKS_V2[key], int(value)) for key, value in pairs if key in _DISKS_V2)

    return None if group.lacks("io") else _from(group, "io", "io.stat", parse) or None


def _disks_v1(group: Group) -> Mapping[str, int] | None:
    found: dict[str, int] = {}
    for file, names in _DISKS_V1.items():
        sums = _from(group, "blkio", file, functools.partial(_of_blkio, names))
        found.update({name: value for name, value in sums.items() if name in names.values()})
    return found or None


def _of_blkio(names: Mapping[str, str], text: str) -> dict[str, int]:
    lines = (line.split() for line in text.splitlines())
    return _sums((names[words[1]], int(words[2])) for words in lines if len(words) == 3 and words[1] in names)


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    found = dict.fromkeys(DISKS, 0)
    for name, value in pairs:
        found[name] += value
    return found


def _pressure(group: Group) -> Mapping[str, Pressure] | None:
    found = {}
    for resource in pressure.RESOURCES:
        try:
            found[resource] = pressure.parse(read(os.path.join(group.directory("memory"), f"{resource}.pressure")))
        except OSError as error:
            _not_here(error)
    return found or None
