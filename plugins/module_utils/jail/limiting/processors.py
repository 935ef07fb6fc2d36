# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPUs and memory nodes, as people write them: how much of them, and which."""

from __future__ import annotations

import contextlib
import os
import re
from decimal import Decimal
from typing import Any, Callable

from ...kernel.cgroup.figures import PERIOD
from ...sizes import UNLIMITED

ALL = "all"
_QUOTA_LEAST, _QUOTA_MOST = PERIOD // 100, 1 << 40
_RANGE = re.compile("([0-9]{1,5})(?:-([0-9]{1,5}))?")
_ONLINE = {"cpus": "/sys/devices/system/cpu/online", "mems": "/sys/devices/system/node/online"}
_NAMES = {"cpus": "CPUs", "mems": "memory nodes"}


def parse(value: Any) -> int | None:
    """A quota in microseconds of CPU time in each :data:`PERIOD`, from CPUs or a percentage of the host's; ``None`` for
    ``unlimited``."""
    text = str(value).strip().lower()
    if text == UNLIMITED:
        return None
    share = re.fullmatch(r"([0-9.]+)\s*%", text)
    try:
        quota = round(float(share.group(1)) / 100 * _online() * PERIOD if share else float(text) * PERIOD)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{value!r} is not a number of CPUs; write it like 0.5, 2, 50% of the host's, or {UNLIMITED}"
        ) from None
    if quota < _QUOTA_LEAST or quota > _QUOTA_MOST:
        raise ValueError(f"{value!r} CPUs is out of range; the kernel takes 0.01 and more")
    return quota


def show(value: int | None) -> str:
    """CPUs, such as ``0.5``."""
    return UNLIMITED if value is None else f"{Decimal(value) / PERIOD:f}"


def parse_burst(value: Any) -> int:
    """Likewise what may be saved up; 0 is nothing."""
    if re.fullmatch(r"0+(\.0*)?", str(value).strip()):
        return 0
    quota = parse(value)
    if quota is None:
        raise ValueError("write how many CPUs it may take beyond cpus for a moment, such as 0.5, or 0")
    return quota


def parse_list(kind: str) -> Callable[[Any], str | None]:
    """A parser of lists of ``cpus`` or ``mems``, such as ``0-3,6``: as the kernel shows them; ``None`` for ``all`` and
    for a list of all that the host has."""

    def parse_them(value: Any) -> str | None:
        text = str(value).strip().lower()
        if text == ALL:
            return None
        there, chosen = _numbers(_read_online(kind)), _numbers(text)
        if not chosen:
            raise ValueError(f"{value!r} is not a list of {_NAMES[kind]}; write it like 0, 0-3,6, or {ALL}")
        if not chosen <= there:
            raise ValueError(f"this host has the {_NAMES[kind]} {_listed(there)}, and not all of {value!r}")
        return None if chosen == there else _listed(chosen)

    return parse_them


def show_list(value: str | None) -> str:
    """The list."""
    return ALL if value is None else value


def _online() -> int:
    return os.cpu_count() or 1


def _read_online(kind: str) -> str:
    with contextlib.suppress(FileNotFoundError), open(_ONLINE[kind], encoding="ascii") as file:
        return file.read().strip()
    return "0"  # a kernel without NUMA has one node


def _numbers(text: str) -> set[int]:
    """The numbers of a list; none where it is not one."""
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if not match or int(match.group(2) or match.group(1)) < int(match.group(1)):
            return set()
        found.update(range(int(match.group(1)), int(match.group(2) or match.group(1)) + 1))
    return found


def _listed(numbers: set[int]) -> str:
    """A list in the kernel's own form: ascending, neighbours as a range."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
