# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of huge pages, for each of their sizes (the kernel's admin-guide/cgroup-v1/hugetlb and cgroup-v2, "HugeTLB").

A group has two: of what is in use, and of what is reserved by mmap(2). Both are set, so that a program is told by an
error when it maps, and not killed by SIGBUS when it touches.
"""

from __future__ import annotations

import contextlib
import os
import re

from .group import Group, read, write

_SIZES = "/sys/kernel/mm/hugepages"


def sizes() -> list[int]:
    """The sizes of huge pages, in bytes, that this host has."""
    with contextlib.suppress(FileNotFoundError):
        found = [re.fullmatch("hugepages-([0-9]+)kB", name) for name in os.listdir(_SIZES)]
        return sorted(int(match.group(1)) << 10 for match in found if match)
    return []


def limits(group: Group) -> dict[int, int]:
    """The bytes that a group may have of them, by size; nothing for a size that is not limited."""
    found = {size: _limit(group, size) for size in sizes()}
    return {size: limit for size, limit in found.items() if limit is not None}


def limit(group: Group, size: int, most: int | None) -> None:
    """Write this; it holds at once."""
    group.use("hugetlb")
    in_use, reserved = _paths(group, size)
    write(in_use, group.format_bytes(most))
    with contextlib.suppress(FileNotFoundError):  # it came with Linux 5.7
        write(reserved, group.format_bytes(most))


def _limit(group: Group, size: int) -> int | None:
    if group.lacks("hugetlb"):
        return None
    with contextlib.suppress(FileNotFoundError):  # nothing was ever limited
        return group.parse_bytes(read(_paths(group, size)[0]))
    return None


def _paths(group: Group, size: int) -> list[str]:
    return [os.path.join(group.directory("hugetlb"), file.format(_word(size))) for file in group.huge_page_files]


def _word(size: int) -> str:
    """A size as the kernel has it in names of files (mm/hugetlb_cgroup.c, mem_fmt)."""
    for shift, unit in ((30, "GB"), (20, "MB")):
        if size >> shift:
            return f"{size >> shift}{unit}"
    return f"{size >> 10}KB"
