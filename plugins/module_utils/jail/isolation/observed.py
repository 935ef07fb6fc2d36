# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds a running jail, by the kernel's word on its first process, beside what its start settled.

A jail may hold itself tighter than we do: its init may drop capabilities or load filters of its own. That is no
difference that counts; what counts is where it has more than it was given.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...kernel import capabilities, namespaces, observe, paths, process
from ..devices import rules as node_rules
from ..live import Running
from . import covers, labels
from .fact import Fact


def bounding_set(running: Running) -> Fact:
    """The capabilities that a process of the jail can ever have."""
    mask = observe.capability_sets(running.pid)["bounding"]
    settled = capabilities.to_mask(running.isolation.capabilities)
    return Fact(
        "capabilities.bounding", capabilities.to_names(mask), capabilities.to_names(settled), not mask & ~settled
    )


def seccomp(running: Running) -> Fact:
    """The seccomp mode and the number of filters; who starts us may have added some."""
    mode, filters = observe.seccomp(running.pid)
    settled = len(running.isolation.programs)
    return Fact(
        "seccomp",
        {"mode": mode, "filters": filters},
        {"mode": 2 if settled else 0, "filters": settled},
        filters >= settled and (mode == 2 or not settled),
    )


def no_new_privs(running: Running) -> Fact:
    """Whether an exec can give privileges."""
    live = observe.no_new_privileges(running.pid)
    return Fact("no_new_privs", live, running.isolation.no_new_privs, live or not running.isolation.no_new_privs)


def personality(running: Running) -> Fact:
    """The execution domain."""
    live = observe.personality(running.pid)
    settled = process.PERSONALITIES[running.isolation.personality]
    return Fact("personality", f"{live:#x}", f"{settled:#x}", live == settled)


def label(running: Running) -> Fact:
    """The labels of the host's security modules."""
    live = labels.read(running.pid)
    settled = dict(running.isolation.labels)
    return Fact("label", live, settled, labels.hold(live, settled))


def time_offset(running: Running) -> Fact:
    """By how many seconds the clocks are moved."""
    live = namespaces.clocks(running.pid)
    settled = running.isolation.time_offset or dict.fromkeys(namespaces.CLOCKS, 0)
    return Fact("time_offset", live, dict(settled), not live or live == settled)


def masked_paths(running: Running) -> Fact:
    """The paths of those to be masked that are there and readable."""
    with paths.opened(_root(running)) as root:
        open_ones = covers.uncovered(root, running.isolation.masked_paths)
    return _none_of("masked_paths", open_ones, running.isolation.masked_paths)


def readonly_paths(running: Running) -> Fact:
    """The paths of those to be read-only that are there and writable."""
    with paths.opened(_root(running)) as root:
        open_ones = covers.writable(root, running.isolation.readonly_paths)
    return _none_of("readonly_paths", open_ones, running.isolation.readonly_paths)


def devices(running: Running) -> Fact:
    """Whether the cgroup lets its processes open the devices that they were given and no others."""
    rules = node_rules(running.isolation.devices)
    expected = [str(rule) for rule in rules] if running.isolation.devices_filtered else None
    filtered = running.isolation.devices_filtered and running.group.devices_restricted(rules)
    return Fact("devices", expected if filtered else "not filtered", expected, filtered or expected is None)


def _none_of(name: str, open_ones: Sequence[str], settled: Sequence[str]) -> Fact:
    live = [path for path in settled if path not in open_ones]
    return Fact(name, live, list(settled), not open_ones)


def _root(running: Running) -> int:
    return running.open_part("root", os.O_PATH | os.O_DIRECTORY)
