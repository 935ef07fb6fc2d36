# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails inside a jail: the option ``children_max``, in a jail that runs.

A start decides whether there can be any, for it takes an inner user namespace and a filter that lets them be made; how
many, the kernel can be told at any time.
"""

from __future__ import annotations

from ...kernel import namespaces, paths, ucounts
from .. import enter, live, nesting, objects
from ..live import Running
from .fact import Fact

OPTION = "children_max"
_MOST = 1000


def parse(value: int) -> int:
    """A number of jails."""
    if not 0 <= value <= _MOST:
        raise ValueError(f"{value} is not a number of jails from 0 to {_MOST}")
    return value


def waits(name: str, wanted: int, running: bool) -> bool:
    """Whether a restart has to make so many possible."""
    found = live.find(name) if running else None
    return found is not None and wanted > 0 and not found.isolation.may_nest


def read(running: Running) -> int:
    """How many user namespaces the kernel lets all of the jail make."""
    return limits(running)["user"] if running.isolation.may_nest else 0


def write(running: Running, wanted: int) -> None:
    """Let it make so many from now on. What there is stays."""
    isolation = running.isolation._replace(children_max=wanted)
    above = {**nesting.above(isolation), **objects.namespaces_of(running.name)}
    own = running.open_part("ns/user")

    def bound(parameters: int) -> None:
        ucounts.bound(parameters, above)
        namespaces.setns(own, namespaces.CLONE_NEWUSER)
        ucounts.bound(parameters, nesting.inside(isolation))

    with paths.opened(own), paths.opened(ucounts.open_parameters()) as parameters:
        # Recorded first: the kernel is asked what holds, so who is killed in between does it again.
        live.record(running._replace(isolation=isolation, started_with={**running.started_with, OPTION: wanted}))
        enter.call_above(running, lambda: bound(parameters))


def limits(running: Running) -> dict[str, int]:
    """How many namespaces of each kind the jail and all below it may have, its own inner user namespace not counted."""
    with paths.opened(ucounts.open_parameters()) as parameters:
        if not running.isolation.has_inner:
            return dict(enter.call(running, lambda _root: ucounts.read(parameters), ("user",)))
        found = enter.call_above(running, lambda: ucounts.read(parameters))
    return {**found, "user": found["user"] - 1}


def fact(running: Running) -> Fact:
    """The limits of the kinds that were limited."""
    settled = nesting.above(running.isolation)
    settled["user"] -= int(running.isolation.has_inner)
    settled.update(objects.namespaces_of(running.name))
    found = limits(running)
    shown = {kind: found[kind] for kind in settled}
    return Fact("namespaces_max", shown, settled, all(shown[kind] <= settled[kind] for kind in settled))
