# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a jail's first process is counted, and what limits it."""

from __future__ import annotations

from collections.abc import Iterator

from ... import layout
from ...kernel import observe, rlimits
from ...rootfs import storage
from .. import ceiling, limits, live, policy, size, store
from ..live import Running
from .fact import Fact


def groups(running: Running) -> Iterator[Fact]:
    """Its control group in each hierarchy that has a controller that counts."""
    own = f"/{layout.CGROUP_PARENT}/{running.name}"
    for controllers, path in observe.control_groups(running.pid):
        if live.hierarchies().counts(controllers):
            inside = path == own or path.startswith(f"{own}/")
            yield Fact(f"cgroup.{controllers or 'unified'}", path, own, inside)


def figures(running: Running) -> Iterator[Fact]:
    """The limits of its group, beside those that are recorded."""
    recorded = store.read(running.name, limits.FACET.name)
    for option in limits.OPTIONS:
        if option.read is None:
            continue
        found, expected = option.read(running), recorded.get(option.name, option.default)
        holds = expected is None or (found is not None and _no_more(found, expected))
        yield Fact(f"limits.{option.name}", option.show(found), option.show(expected), holds)


def ceilings() -> Iterator[Fact]:
    """The limits of all jails together."""
    wanted = ceiling.wanted()
    for figure, found in ceiling.holding().items():
        expected = wanted[figure]
        holds = expected is None or (found is not None and _no_more(found, expected))
        yield Fact(f"ceiling.{figure}", ceiling.show(figure, found), ceiling.show(figure, expected), holds)


def disk(running: Running) -> Iterator[Fact]:
    """How much it may write, beside what is recorded of it."""
    recorded, found = store.read(running.name, "rootfs"), storage.bounds_of(running.name)._asdict()
    for option in size.OPTIONS:
        live_value, expected = found[option.name], recorded.get(option.name)
        holds = expected is None or (live_value is not None and _no_more(live_value, expected))
        yield Fact(f"disk.{option.name}", option.show(live_value), option.show(expected), holds)


def _no_more(found: object, expected: object) -> bool:
    if isinstance(found, int) and isinstance(expected, int):
        return found <= expected
    return found == expected


def resource_limits(running: Running) -> Iterator[Fact]:
    """The hard limits that its processes cannot raise."""
    found, given = observe.limits(running.pid), running.resources
    for name in dict.fromkeys([*policy.RLIMITS, *given.said]):
        value, most = found[name][1], given.rlimits[name][1]
        yield Fact(f"rlimits.{name}", value, most, rlimits.is_within(value, most))
