# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attestation: what holds a running jail, from the kernel's live state, beside what was settled at its start.

Nothing of it is read from configuration: configuration is what the other column says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...errors import JailError
from ...kernel import paths, pidfd
from ..live import Running
from . import group_facts, mount_facts, observed, process_facts
from .fact import Fact


def facts(running: Running) -> list[Fact]:
    """Everything that is looked at, of one jail.

    :raises JailError: when it ended meanwhile.
    """
    descriptor = running.open()
    if descriptor is None:
        raise JailError("it has just ended")
    with paths.opened(descriptor):
        try:
            found = list(_facts(running))
        except (FileNotFoundError, ProcessLookupError) as error:
            if not pidfd.has_ended(descriptor):
                raise
            raise JailError("it has just ended") from error
        if pidfd.has_ended(descriptor):
            raise JailError("it has just ended")
    return found


def _facts(running: Running) -> Iterator[Fact]:
    yield from process_facts.own_namespaces(running)
    yield from process_facts.id_maps(running)
    yield from process_facts.namespaces_max(running)
    yield observed.bounding_set(running)
    yield from process_facts.capability_sets(running)
    yield observed.no_new_privs(running)
    yield observed.seccomp(running)
    yield observed.label(running)
    yield observed.personality(running)
    yield observed.time_offset(running)
    yield from mount_facts.mounted(running)
    yield observed.masked_paths(running)
    yield observed.readonly_paths(running)
    yield from mount_facts.nodes(running)
    yield observed.devices(running)
    yield from group_facts.groups(running)
    yield from group_facts.figures(running)
    yield from group_facts.ceilings()
    yield from group_facts.disk(running)
    yield from group_facts.resource_limits(running)
    yield from process_facts.descriptors(running)
    yield from process_facts.others(running)


def as_dict(found: Sequence[Fact]) -> dict[str, Any]:
    """The same for a result: ``facts`` by name, and ``drift``, the names of those that do not hold."""
    return {
        "facts": {fact.name: {"live": fact.live, "expected": fact.expected, "holds": fact.holds} for fact in found},
        "drift": [fact.name for fact in found if not fact.holds],
    }
