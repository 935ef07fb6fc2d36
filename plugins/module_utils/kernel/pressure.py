# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pressure stall information: how long tasks have waited for CPU, memory or disks (the kernel's accounting/psi)."""

from __future__ import annotations

from typing import NamedTuple

RESOURCES = ("cpu", "memory", "io")


class Stall(NamedTuple):
    """Of the last ten seconds the part in which tasks waited, in percent; and for how long in all, in microseconds."""

    average: float
    total: int


class Pressure(NamedTuple):
    """When some task waited, and when all did that had anything to do; ``None`` where the kernel does not tell."""

    some: Stall | None
    full: Stall | None


def parse(text: str) -> Pressure:
    """What a file of the kernel says."""
    found = {}
    for line in text.splitlines():
        kind, *words = line.split()
        values = dict(word.split("=", 1) for word in words)
        found[kind] = Stall(float(values["avg10"]), int(values["total"]))
    return Pressure(found.get("some"), found.get("full"))
