# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_limits``: cgroup limits, changed live, with the same words on version 1 and 2."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any

from .. import sizes
from ..errors import JailError
from ..kernel.cgroup.group import Group
from . import ceiling, counts, live, objects, resource_options, store
from .facet import Facet, Values, all_well, always, parse_each
from .limiting import disks, guarantees, hugepages, processors, row, unified
from .limiting.row import ACCEPT, Limit, Target
from .options import Option
from .plan import Plan, Request, Situation, plan_options

DEFAULT_MEMORY = sizes.whole_mebibytes(ceiling.default_memory() // 2)
"""Half of what all jails may have: one alone cannot take what its neighbours need."""
DEFAULT_PIDS = 4096
"""A fork bomb in a jail for which nobody set a limit is held by this one."""
_WEIGHT = 100
_CPU_WEIGHT_MOST, _IO_WEIGHT_MOST = 10_000, 1000
"""Of CPU what the kernel takes; of disks what both ``io.cost`` and BFQ take."""


def _put_memory_max(target: Target, value: int | None) -> dict[str, str] | None:
    group = target.group
    used = group.get("memory_used") or 0
    try:
        group.set("memory_max", value)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise JailError(
            f"{sizes.show_memory(value)} is less than the {sizes.show(group.get('memory_used'))} that it holds after "
            "all that could be taken back was; processes would be killed for the rest, so "
            f"{sizes.show_memory(group.get('memory_max'))} stays",
            option="memory_max",
            advice="end something in it; or restart it, and it holds from its start",
        ) from error
    if value is None or used <= value:
        return None
    return {"reclaimed": sizes.show(sizes.whole_pages(max(0, used - (group.get("memory_used") or 0))))}


def _guarantee(name: str) -> Limit:
    def put(target: Target, value: int) -> None:
        target.group.set(name, value)
        guarantees.hold(name)

    return row.figure(name, sizes.parse_memory_or_nothing, sizes.show_memory, untouched=0)._replace(put=put)


def _get_weight(target: Target) -> Any:
    """A group that runs only where nobody else does has no weight, which the kernel shows as 0; it gets the recorded
    one when it does so no more."""
    return target.group.get("cpu_weight") or target.recorded.get("cpu_weight", _WEIGHT)


def _put_weight(target: Target, value: int) -> None:
    if target.group.get("cpu_weight"):
        target.group.set("cpu_weight", value)


def _put_idle(target: Target, value: bool) -> None:
    target.group.set("cpu_idle", int(value))
    if not value:
        target.group.set("cpu_weight", target.recorded.get("cpu_weight", _WEIGHT))


def _cpuset(kind: str) -> Limit:
    return Limit(
        f"cpuset_{kind}",
        processors.parse_list(kind),
        processors.show_list,
        get=lambda target: target.group.processors(kind),
        put=lambda target, value: target.group.confine(kind, value),
        missing=lambda group, _value: group.lacks("cpuset"),
    )


def _memory(name: str, parse: Any = sizes.parse_memory_or_nothing) -> Limit:
    return row.figure(name, parse, sizes.show_memory)


LIMITS: tuple[Limit, ...] = (
    _memory("memory_max", sizes.parse_memory)._replace(put=_put_memory_max, default=DEFAULT_MEMORY),
    _memory("memory_high", sizes.parse_memory),
    _guarantee("memory_min"),
    _guarantee("memory_low"),
    _memory("swap_max"),
    row.switch("oom_group"),
    hugepages.HUGEPAGES,
    row.figure("cpus", processors.parse, processors.show, called="cpu_quota"),
    row.figure("cpu_burst", processors.parse_burst, processors.show, untouched=0),
    row.figure("cpu_weight", counts.parse_weight(_CPU_WEIGHT_MOST), counts.show, untouched=_WEIGHT)._replace(
        get=_get_weight, put=_put_weight
    ),
    row.switch("cpu_idle")._replace(put=_put_idle),
    _cpuset("cpus"),
    _cpuset("mems"),
    row.figure("pids_max", counts.parse, counts.show, default=DEFAULT_PIDS),
    row.figure("io_weight", counts.parse_weight(_IO_WEIGHT_MOST), counts.show, untouched=_WEIGHT),
    *disks.LIMITS,
    unified.UNIFIED,
)
"""In the order in which a new group gets them."""

OPTIONS = (
    *(limit.option() for limit in LIMITS),
    Option(
        ACCEPT,
        type="list",
        elements="str",
        choices=tuple(limit.name for limit in LIMITS),
        default=[],
        parse=lambda value: sorted(set(value)),
        write=lambda _running, _value: None,
    ),
    *resource_options.OPTIONS,
    *objects.OPTIONS,
)


def _plan(options: Sequence[Option], request: Request, situation: Situation) -> Plan:
    """What may be saved up of CPU time is never more than the quota: less of it comes before a smaller quota."""
    found = plan_options(options, request, situation)
    first = [action for action in found.actions if action.option == "cpu_burst" and action.after < action.before]
    return found._replace(actions=[*first, *(action for action in found.actions if action not in first)])


def _conflicts(desired: Mapping[str, Values]) -> dict[str, str]:
    """What cannot be, on this host or beside other jails."""
    wrong = guarantees.excess(desired)
    for name, values in desired.items():
        sentence = _alone(name, values)
        if sentence is not None:
            wrong[name] = sentence
    return wrong


def _alone(name: str, values: Values) -> str | None:
    """What is wrong with a jail's limits, whatever its neighbours have."""
    group = live.group_of(name)
    for limit in _wanted(values):
        missing = limit.missing(group, values[limit.name])
        if missing is not None and limit.name not in values.get(ACCEPT, ()):
            return f"{limit.name}: {missing}; {row.without(limit)}"
    quota, burst = values.get("cpus"), values.get("cpu_burst", 0)
    if quota is not None and burst > quota:
        return (
            f"cpu_burst: {processors.show(burst)} is more than cpus: {processors.show(quota)}, which the kernel refuses"
        )
    if group.version == 1 and values.get("swap_max") is not None and values.get("memory_max", 0) is None:
        return "swap_max: cgroup version 1 limits memory and swap together, so that memory_max must be limited too"
    return None


def _wanted(values: Values) -> list[Limit]:
    """The limits that are said, and not that there is none."""
    return [limit for limit in LIMITS if values.get(limit.name, limit.untouched) != limit.untouched]


FACET = Facet(
    name="limits",
    options=OPTIONS,
    states=(),
    parse=parse_each(OPTIONS),
    plan=_plan,
    exists=always,
    conflicts=_conflicts,
    perform={},
    settle=all_well,
)


def memory_of(group: Group) -> int | None:
    """The bytes that a group may have; ``None`` also where nobody counts them."""
    return group.get("memory_max") if group.counts("memory_max") else None


def given_up(name: str, wanted: Mapping[str, Any]) -> list[str]:
    """A sentence for each limit that a jail does without because its host cannot give it.

    :param wanted: canonical options that are about to be recorded.
    """
    values = {**store.read(name, FACET.name), **wanted}
    if not values.get(ACCEPT):
        return []
    group = live.group_of(name)
    found = {limit.name: limit.missing(group, values[limit.name]) for limit in _wanted(values)}
    return [f"{option}: {why}" for option, why in found.items() if why is not None and option in values[ACCEPT]]


def apply_to_new(group: Group, recorded: dict[str, Any]) -> None:
    """Set the recorded or default limits on a fresh cgroup, before anything runs in it.

    :raises JailError: for one that this host has no means for.
    """
    target = Target(group, lambda: recorded)
    for limit in LIMITS:
        value = recorded.get(limit.name, limit.default)
        if value != limit.untouched:
            row.write(limit, target, value)
