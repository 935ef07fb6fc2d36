# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each process of a jail begins with, its first one and those that enter: resource limits, scheduling.

Recorded with a running jail. Any process may hold itself tighter later on, and is left to that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import JailError
from ..kernel import observe, rlimits, scheduling
from ..kernel.scheduling import Policy
from . import policy

RLIMITS, NICE, SCHEDULING, CORE = "rlimits", "nice", "scheduling", "core_scheduling"
"""Their options."""

_ORDINARY = ("other", "batch", "idle")
_ADVICE = {
    RLIMITS: "raising a hard limit takes CAP_SYS_RESOURCE, and no file limit is above fs.nr_open",
    NICE: "a lower one takes CAP_SYS_NICE",
    SCHEDULING: "a better one takes CAP_SYS_NICE; fifo and rr also real time in the jail's control group, of which "
    "version 1 gives it none (cpu.rt_runtime_us)",
    CORE: "it takes a kernel with CONFIG_SCHED_CORE, and CPUs whose cores have more than one thread",
}


class Resources(NamedTuple):
    """JSON-able.

    :param said: the resource limits that the option has, by name.
    :param usual: those of all kinds that hold where nothing is said.
    :param nice: the nice value; where nothing was said that of who starts it, but none below 0.
    :param scheduling: likewise the policy's name and priority, none better than the default.
    :param core: whether no other jail's threads run on a core beside its own.
    :param unfinished: options that somebody began to change in the jail's processes.
    """

    said: Mapping[str, Sequence[int]]
    usual: Mapping[str, Sequence[int]]
    nice: int
    scheduling: Sequence[Any]
    core: bool
    unfinished: Sequence[str] = ()

    @property
    def rlimits(self) -> dict[str, Sequence[int]]:
        """All resource limits."""
        return {**self.usual, **self.said}

    @property
    def policy(self) -> Policy:
        """The scheduling policy."""
        return Policy(*self.scheduling)


def settle(recorded: Mapping[str, Any]) -> Resources:
    """What the recorded options of ``jail_limits`` come to, for a jail that we start.

    :raises JailError: for a resource limit that we cannot give.
    """
    own = {name: rlimits.get(0, name) for name in rlimits.NUMBERS}
    said = recorded.get(RLIMITS, {})
    refuse_raised(said, {name: hard for name, (_soft, hard) in own.items()})
    usual = {name: _within(policy.RLIMITS.get(name, limit), limit[1]) for name, limit in own.items()}
    nice = recorded.get(NICE, max(0, scheduling.nice(0)))
    return Resources(said, usual, nice, recorded.get(SCHEDULING, _ordinary()), recorded.get(CORE, False))


def _ordinary() -> list[Any]:
    own = scheduling.policy(0)
    return list(own) if own.name in _ORDINARY else ["other", 0]


def restored(value: Mapping[str, Any]) -> Resources:
    """The resources from what :meth:`Resources._asdict` gave, by way of JSON.

    :raises KeyError: when they are of another version.
    """
    needed = [name for name in Resources._fields if name in value or name not in Resources._field_defaults]
    return Resources(**{name: value[name] for name in needed})


def refuse_raised(wanted: Mapping[str, Sequence[int]], present: Mapping[str, int]) -> None:
    """Refuse hard limits above the present ones, unless we may raise them.

    :raises JailError: for the first of them.
    """
    above = [name for name, (_soft, hard) in wanted.items() if not rlimits.is_within(hard, present[name])]
    if above and not rlimits.can_raise():
        raise JailError(
            f"{above[0]}: the hard limit is above the {present[above[0]]} that we have ourselves, and only "
            "CAP_SYS_RESOURCE raises one",
            option=RLIMITS,
            advice="a lower one, or give the manager of this host's jails a higher one (ulimit -H)",
        )


def _within(limit: Sequence[int], hard: int) -> list[int]:
    most = rlimits.lower(limit[1], hard)
    return [rlimits.lower(limit[0], most), most]


def give(resources: Resources, pid: int) -> None:
    """Give a process that is alone, in the jail's control group and still ours, what it cannot take itself in there.

    :raises JailError: for what the kernel refuses.
    """
    with refusals(RLIMITS):
        _raise_limits(resources, pid)
    with refusals(SCHEDULING):
        if scheduling.policy(pid) != resources.policy:
            scheduling.set_policy(pid, resources.policy)
    with refusals(NICE):
        if scheduling.nice(pid) != resources.nice:
            scheduling.set_nice(pid, resources.nice)
    with refusals(CORE):
        if resources.core:
            scheduling.make_core(pid)


def take(resources: Resources, first: int) -> None:
    """The same for ourselves, who are about to enter a jail, of which this is the first process. Where we may not have
    so much we have less."""
    with contextlib.suppress(PermissionError):
        _raise_limits(resources, os.getpid())
    with contextlib.suppress(PermissionError):
        scheduling.set_policy(0, resources.policy)
    with contextlib.suppress(PermissionError):
        scheduling.set_nice(0, resources.nice)
    if resources.core:
        scheduling.take_core(first)


def _raise_limits(resources: Resources, pid: int) -> None:
    present = observe.limits(pid)
    for name, (_soft, hard) in resources.said.items():
        if not rlimits.is_within(hard, present[name][1]):
            rlimits.put(pid, name, (present[name][0], hard))


@contextlib.contextmanager
def refusals(option: str) -> Iterator[None]:
    """Make of what the kernel says in a ``with`` block an error of an option."""
    try:
        yield
    except OSError as error:
        if isinstance(error, (FileNotFoundError, ProcessLookupError)):
            raise
        raise JailError(f"the kernel refuses it: {error.strerror}", option=option, advice=_ADVICE[option]) from error
