# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that jails are guaranteed: no more of it in sum than all of them may have together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import files, layout, sizes
from .. import ceiling, live

GUARANTEES = ("memory_min", "memory_low")


def hold(figure: str) -> None:
    """Give the group of all jails what those in it are guaranteed: no group is guaranteed more than the one above it
    (admin-guide/cgroup-v2, "memory.min")."""
    tree = live.hierarchies()
    with files.locked("guarantees"):
        total = 0
        for name in tree.names(layout.CGROUP_PARENT):
            try:
                total += tree.group(layout.CGROUP_PARENT, name).get(figure) or 0
            except FileNotFoundError:
                continue  # it has just ended
        tree.group("", layout.CGROUP_PARENT).set(figure, total)


def excess(desired: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Where jails are promised more than there is: a sentence with the arithmetic for each that is promised any."""
    promised = {name: most for name, values in desired.items() if (most := _guaranteed(values))}
    if not promised:
        return {}
    there = ceiling.wanted()["memory_max"]
    total = sum(promised.values())
    if there is None or total <= there:
        return {}
    sums = " + ".join(f"{sizes.show(size)} ({name})" for name, size in sorted(promised.items()))
    what = (
        f"memory_min, memory_low: all jails together would be guaranteed {sizes.show(total)} = {sums}, and may have "
        f"{sizes.show_memory(there)}; guarantee less, or let all have more in {layout.CEILING}"
    )
    return dict.fromkeys(promised, what)


def _guaranteed(values: Mapping[str, Any]) -> int:
    """What one jail is guaranteed: the larger of both, but no more than it may have."""
    most = max(int(values.get(name) or 0) for name in GUARANTEES)
    limit = values.get("memory_max")
    return most if limit is None else min(most, int(limit))
