# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_limits``: cgroup limits, changed live, with the same words on version 1 and 2."""

from __future__ import annotations

import errno
import os
from decimal import Decimal
from typing import Any, Callable

from .. import layout, sizes
from ..errors import JailError
from ..kernel import disks
from ..kernel.cgroup.figures import PERIOD
from ..kernel.cgroup.group import Group
from ..sizes import UNLIMITED
from . import ceiling, counts
from .facet import Facet, all_well, always, no_conflicts, parse_each
from .options import Option
from .plan import plan_options

DEFAULT_MEMORY = sizes.whole_mebibytes(ceiling.default_memory() // 2)
"""Half of what all jails may have: one alone cannot take what its neighbours need."""
_OPERATIONS_MAX = (1 << 32) - 1
DEFAULT_PIDS = 4096
"""A fork bomb in a jail for which nobody set a limit is held by this one."""


def parse_cpus(value: Any) -> int | None:
    """A quota in microseconds of CPU time in each :data:`PERIOD`; ``None`` for ``unlimited``."""
    text = str(value).strip().lower()
    if text == UNLIMITED:
        return None
    try:
        quota = round(float(text) * PERIOD)
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r} is not a number of CPUs; write it like 0.5, 2, or {UNLIMITED}") from None
    if quota < 1000 or quota > 1 << 40:
        raise ValueError(f"{value!r} CPUs is out of range; the kernel takes 0.01 and more")
    return quota


def show_cpus(value: int | None) -> str:
    """CPUs, such as ``0.5``."""
    return UNLIMITED if value is None else f"{Decimal(value) / PERIOD:f}"


FIGURES = {"memory_max": "memory_max", "cpus": "cpu_quota", "pids_max": "pids_max"}
"""The cgroup's own name (:mod:`kernel.cgroup.figures`) of each option."""

RATES = {"io_max": "io_bytes", "io_operations_max": "io_operations"}
"""The same of those that hold for each disk of the jails' storage."""


def _parse_operations(value: Any) -> int | None:
    return counts.parse(value, "operations", _OPERATIONS_MAX)


def _limit(name: str, parse: Callable[[Any], Any], show: Callable[[Any], Any], default: Any = None) -> Option:
    figure = FIGURES[name]
    return Option(
        name,
        default=default,
        parse=parse,
        show=show,
        read=lambda running: running.group.get(figure),
        write=lambda running, value: running.group.set(figure, value),
    )


def _rate(name: str, parse: Callable[[Any], Any], show: Callable[[Any], Any]) -> Option:
    rate = RATES[name]
    return Option(
        name,
        parse=parse,
        show=show,
        read=lambda running: _slowest(running.group, rate),
        write=lambda running, value: _set_rate(running.group, name, value),
    )


def _slowest(group: Group, rate: str) -> int | None:
    """What holds on every disk of the jails' storage: the largest limit, or none where one has none."""
    if not group.has_rates():
        return None
    found = [group.rate(rate, disk) for disk in disks.below(_storage())]
    return None if None in found or not found else max(limit for limit in found if limit is not None)


def _set_rate(group: Group, name: str, value: int | None) -> None:
    found = disks.below(_storage())
    if not found and value is not None:
        what = f"{layout.STORAGE} is on no disk that the kernel could limit"
        raise JailError(what, option=name, advice=f"put {layout.LIB} on a disk's own file system")
    for disk in found:
        group.set_rate(RATES[name], disk, value)


def _storage() -> str:
    """The directory of all storage, or the nearest that is there."""
    return next(path for path in (layout.STORAGE, layout.LIB, "/") if os.path.isdir(path))


OPTIONS = (
    _limit("memory_max", sizes.parse, sizes.show, default=DEFAULT_MEMORY),
    _limit("cpus", parse_cpus, show_cpus),
    _limit("pids_max", counts.parse, counts.show, default=DEFAULT_PIDS),
    _rate("io_max", sizes.parse, sizes.show),
    _rate("io_operations_max", _parse_operations, counts.show),
)

FACET = Facet(
    name="limits",
    options=OPTIONS,
    states=(),
    parse=parse_each(OPTIONS),
    plan=plan_options,
    exists=always,
    conflicts=no_conflicts,
    perform={},
    settle=all_well,
)


def memory_of(group: Group) -> int | None:
    """The bytes that a group may have; ``None`` also where nobody counts them."""
    return group.get("memory_max") if group.counts("memory_max") else None


def apply_to_new(group: Group, recorded: dict[str, Any]) -> None:
    """Set the recorded or default limits on a fresh cgroup, before anything runs in it.

    :raises JailError: for one that this host has no means for.
    """
    for option in OPTIONS:
        value = recorded.get(option.name, option.default)
        if value is not None:
            _apply(group, option.name, value)


def _apply(group: Group, name: str, value: int) -> None:
    try:
        if name in RATES:
            _set_rate(group, name, value)
        else:
            group.set(FIGURES[name], value)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP or error.strerror is None:
            raise
        advice = f"or do without: jail_limits with {name}: {UNLIMITED}"
        raise JailError(error.strerror, option=name, advice=advice) from error
