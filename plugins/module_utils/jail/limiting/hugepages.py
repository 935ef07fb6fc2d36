# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of huge pages, by size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import sizes
from ...kernel.cgroup import hugepages
from ...kernel.cgroup.group import Group
from .row import Limit, Target


def _parse(value: Mapping[Any, Any]) -> dict[str, int]:
    """Bytes by size in the shortest form, without those that are unlimited."""
    there = {sizes.show(size): size for size in hugepages.sizes()}
    found: dict[str, int] = {}
    for key, most in value.items():
        size = sizes.parse(key)
        word = sizes.show(size)
        if size is None or word not in there:
            raise ValueError(f"this host has huge pages of {', '.join(there) or 'no size'}, not of {key!r}")
        limit = sizes.parse_or_nothing(most)
        if limit is not None:
            found[word] = limit // size * size  # as the kernel rounds it
    return found


def _show(value: Mapping[str, int]) -> dict[str, str]:
    return {size: sizes.show(limit) for size, limit in value.items()}


def _get(target: Target) -> dict[str, int]:
    return {sizes.show(size): limit for size, limit in hugepages.limits(target.group).items()}


def _put(target: Target, value: Mapping[str, int]) -> None:
    found = _get(target)
    for size in hugepages.sizes():
        word = sizes.show(size)
        if value.get(word) != found.get(word):
            hugepages.limit(target.group, size, value.get(word))


def _missing(group: Group, _value: Any) -> str | None:
    return group.lacks("hugetlb")


HUGEPAGES = Limit("hugepages", _parse, _show, _get, _put, _missing, untouched={}, default={}, type="dict")
