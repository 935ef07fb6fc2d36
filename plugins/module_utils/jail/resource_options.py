# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_limits`` that hold for each process: resource limits and scheduling, changed live in all of
them.

What has set itself tighter than it was given keeps that, but where the new is tighter still; and it holds where the
first process has no more.
"""

from __future__ import annotations

import resource
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Callable

from .. import sizes
from ..errors import JailError
from ..kernel import observe, rlimits, scheduling
from ..kernel.scheduling import Policy
from ..sizes import UNLIMITED
from . import enter, everyone, live
from .live import Running
from .options import Option
from .resources import CORE, NICE, RLIMITS, SCHEDULING, Resources, refusals, refuse_raised

_IN_BYTES = ("fsize", "data", "stack", "core", "rss", "memlock", "as", "msgqueue")
_MOST = (1 << 63) - 1
_RANK = {"idle": 0, "batch": 1, "other": 2, "fifo": 3, "rr": 3}


def parse_rlimits(value: Mapping[str, Any]) -> dict[str, list[int]]:
    """Soft and hard limit by name; -1 is unlimited."""
    return {str(name): _parse_limit(str(name), words) for name, words in value.items() if words is not None}


def _parse_limit(name: str, words: Any) -> list[int]:
    if name not in rlimits.NUMBERS:
        raise ValueError(f"{name!r} is not a resource limit; getrlimit(2) has them: {', '.join(rlimits.NUMBERS)}")
    parts = str(words).split(":")
    if len(parts) > 2:
        raise ValueError(f"{name}: {words!r} is neither one limit nor SOFT:HARD")
    soft, hard = (_figure(name, part) for part in (parts[0], parts[-1]))
    if not rlimits.is_within(soft, hard):
        raise ValueError(f"{name}: the soft limit of {words!r} is above the hard one")
    return [soft, hard]


def _figure(name: str, text: str) -> int:
    if name in _IN_BYTES:
        try:
            found = sizes.parse_bytes(text)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        return resource.RLIM_INFINITY if found is None else found
    word = text.strip().lower()
    if word == UNLIMITED:
        return int(resource.RLIM_INFINITY)
    if not (word.isascii() and word.isdigit()) or int(word) > _MOST:
        raise ValueError(f"{name}: {text!r} is not a limit; write a number, {UNLIMITED}, or two of these as SOFT:HARD")
    return int(word)


def show_rlimits(value: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """The shortest words for them."""
    return {name: _show_limit(name, limit) for name, limit in value.items()}


def _show_limit(name: str, limit: Sequence[int]) -> str:
    soft, hard = (_show_figure(name, figure) for figure in limit)
    return hard if soft == hard else f"{soft}:{hard}"


def _show_figure(name: str, figure: int) -> str:
    if figure == resource.RLIM_INFINITY:
        return UNLIMITED
    return sizes.show(figure) if name in _IN_BYTES else str(figure)


def read_rlimits(running: Running) -> dict[str, Sequence[int]]:
    """Those that were said, as long as the first process has no more."""
    found = observe.limits(running.pid)
    return {
        name: limit if rlimits.is_within(found[name][1], limit[1]) else list(found[name])
        for name, limit in running.resources.said.items()
    }


def waits_rlimits(name: str, wanted: Mapping[str, Sequence[int]], running: bool) -> bool:
    """Whether a hard limit is raised that only a new start can have.

    :raises JailError: for one that we could not give then either.
    """
    refuse_raised(wanted, {each: rlimits.get(0, each)[1] for each in rlimits.NUMBERS})
    found = live.find(name) if running else None
    if found is None:
        return False
    present, after = observe.limits(found.pid), _after(found, wanted)
    raised = [each for each, limit in after.items() if not rlimits.is_within(limit[1], present[each][1])]
    return bool(raised) and not rlimits.can_raise()


def _after(running: Running, wanted: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    """What changes: the wanted ones, and the usual one in the place of each that is not wanted any more."""
    return {**{name: running.resources.usual[name] for name in running.resources.said}, **wanted}


def write_rlimits(running: Running, wanted: Mapping[str, Sequence[int]]) -> None:
    """Give all processes the limits, and those that are not wanted any more as they are usual."""
    before = {name: running.resources.rlimits[name] for name in rlimits.NUMBERS}
    after = _after(running, wanted)

    def change(pids: Collection[int]) -> None:
        for pid in pids:
            for name, limit in after.items():
                _change_limit(pid, name, before[name], limit)

    with refusals(RLIMITS):
        everyone.reach(running.group.processes, lambda pids: _as_is_allowed(running, lambda: change(pids)))


def _as_is_allowed(running: Running, change: Callable[[], None]) -> None:
    """With CAP_SYS_RESOURCE of the host's, or of the jail's user namespace, which cannot raise hard limits."""
    try:
        rlimits.get(running.pid, "core")
    except PermissionError:
        enter.call(running, lambda _root: change(), ("user",))
    else:
        change()


def _change_limit(pid: int, name: str, before: Sequence[int], after: Sequence[int]) -> None:
    try:
        own = rlimits.get(pid, name)
        hard = after[1] if own[1] == before[1] else rlimits.lower(own[1], after[1])
        soft = after[0] if own[0] == before[0] else own[0]
        if own != (rlimits.lower(soft, hard), hard):
            rlimits.put(pid, name, (rlimits.lower(soft, hard), hard))
    except ProcessLookupError:  # it has just ended
        return


def _parse_nice(value: int) -> int:
    if not scheduling.NICE_MIN <= value <= scheduling.NICE_MAX:
        raise ValueError(f"{value} is not between {scheduling.NICE_MIN} and {scheduling.NICE_MAX}")
    return value


def _read_nice(running: Running) -> int:
    found, said = scheduling.nice(running.pid), running.resources.nice
    return min(found, said)


def _write_nice(running: Running, wanted: int) -> None:
    before = running.resources.nice

    def change(thread: int) -> None:
        own = scheduling.nice(thread)
        after = wanted if own == before else max(own, wanted)
        if own != after:
            scheduling.set_nice(thread, after)

    with refusals(NICE):
        _in_all_threads(running, change)


def _parse_policy(value: str) -> list[Any]:
    name, colon, priority = value.strip().lower().partition(":")
    least, most = scheduling.PRIORITIES
    if name not in scheduling.NAMES or (name not in scheduling.REAL_TIME and colon):
        raise ValueError(f"{value!r} is not a policy; write other, batch, idle, fifo:PRIORITY or rr:PRIORITY")
    if name not in scheduling.REAL_TIME:
        return [name, 0]
    if not (priority.isascii() and priority.isdigit()) or not least <= int(priority) <= most:
        raise ValueError(f"{value!r} has no priority from {least} to {most}, such as {name}:{least}")
    return [name, int(priority)]


def _show_policy(value: Sequence[Any]) -> str:
    name, priority = value
    return f"{name}:{priority}" if priority else str(name)


def _read_policy(running: Running) -> list[Any]:
    found, said = scheduling.policy(running.pid), running.resources.policy
    return list(found if _is_better(found, said) else said)


def _is_better(one: Policy, other: Policy) -> bool:
    """Whether a policy gives more than another. Of real time each does that has another priority."""
    rank, least = _RANK.get(one.name, 0), _RANK[other.name]
    return rank > least or (rank == least and one != other)


def _write_policy(running: Running, wanted: Sequence[Any]) -> None:
    before, after = running.resources.policy, Policy(*wanted)

    def change(thread: int) -> None:
        own = scheduling.policy(thread)
        if own != after and (own == before or _is_better(own, after)):
            scheduling.set_policy(thread, after)

    with refusals(SCHEDULING):
        _in_all_threads(running, change)


def _in_all_threads(running: Running, change: Callable[[int], None]) -> None:
    def threads() -> set[int]:
        return {thread for pid in running.group.processes() for thread in scheduling.threads(pid)}

    def change_all(found: Collection[int]) -> None:
        for thread in found:
            try:
                change(thread)
            except ProcessLookupError:  # it has just ended
                continue

    everyone.reach(threads, change_all)


def _write_core(running: Running, wanted: bool) -> None:
    def share(pids: Collection[int]) -> None:
        if wanted:
            scheduling.share_core(running.pid, pids)
        else:
            scheduling.share_core(None, [pid for pid in pids if scheduling.has_core(pid)])

    with refusals(CORE):
        if wanted:
            scheduling.make_core(running.pid)
        everyone.reach(running.group.processes, share)


def _record(name: str, changed: Callable[[Resources], Resources]) -> None:
    """Remember it for who enters. Others may have recorded theirs since the jail was looked at."""
    found = live.find(name)
    if found is None:
        raise JailError("it has just ended", advice=f"look at its log with: jail log {name}")
    live.record(found._replace(resources=changed(found.resources)))


def _option(
    option: Option, field: str, read: Callable[[Running], Any], write: Callable[[Running, Any], None]
) -> Option:
    """An option that is recorded in a field of the jail's resources when all processes have it. Of a change that was
    begun and not finished nothing is said, so that it is made again."""

    def begun(resources: Resources) -> Resources:
        return resources._replace(unfinished=sorted({*resources.unfinished, option.name}))

    def over(resources: Resources) -> Resources:
        return resources._replace(unfinished=[each for each in resources.unfinished if each != option.name])

    def read_finished(running: Running) -> Any:
        return None if option.name in running.resources.unfinished else read(running)

    def write_wholly(running: Running, value: Any) -> None:
        before = read(running)
        _record(running.name, begun)
        try:
            write(running, value)
        except JailError:
            if read(running) == before:  # refused at once
                _record(running.name, over)
            raise
        _record(running.name, lambda resources: over(resources)._replace(**{field: value}))

    def show(value: Any) -> Any:
        return None if value is None else option.show(value)

    return option._replace(read=read_finished, write=write_wholly, show=show)


OPTIONS = (
    _option(
        Option(RLIMITS, type="dict", default={}, parse=parse_rlimits, show=show_rlimits, waits=waits_rlimits),
        "said",
        read_rlimits,
        write_rlimits,
    ),
    _option(Option(NICE, type="int", default=0, parse=_parse_nice), "nice", _read_nice, _write_nice),
    _option(
        Option(SCHEDULING, default=["other", 0], parse=_parse_policy, show=_show_policy),
        "scheduling",
        _read_policy,
        _write_policy,
    ),
    _option(
        Option(CORE, type="bool", default=False), "core", lambda running: scheduling.has_core(running.pid), _write_core
    ),
)
