# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each figure of a control group stands, on version 2 and on version 1: its controller, its file, and how the
file's text and a number become each other (the kernel's admin-guide/cgroup-v2 and cgroup-v1)."""

from __future__ import annotations

from typing import Callable, NamedTuple

PERIOD = 100_000
"""Microseconds over which a CPU quota counts: the kernel's own default."""

_V1_UNLIMITED = 1 << 60  # memory.limit_in_bytes shows "no limit" as the largest page counter


class File(NamedTuple):
    """Where one figure stands: its controller, its file, and how text and number become each other; and where else a
    limit has to be written, if it is there."""

    controller: str
    name: str
    parse: Callable[[str], int | None]
    format: Callable[[int | None], str]
    besides: str | None = None


def number_or_max(text: str) -> int | None:
    """A number as version 2 shows it."""
    return None if text.strip() == "max" else int(text)


def or_max(value: int | None) -> str:
    """A number as version 2 takes it."""
    return "max" if value is None else str(value)


def _v1_bytes(text: str) -> int | None:
    return int(text) if int(text) < _V1_UNLIMITED else None


def _minus_one(value: int | None) -> str:
    return "-1" if value is None else str(value)


def _v1_quota(text: str) -> int | None:
    return int(text) if int(text) >= 0 else None


def _v2_quota(text: str) -> int | None:
    quota, period = text.split()
    return None if quota == "max" else int(quota) * PERIOD // int(period)


def _v2_quota_text(value: int | None) -> str:
    return f"{or_max(value)} {PERIOD}"


def _usage_usec(text: str) -> int | None:
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("usage_usec"))


def _nanoseconds(text: str) -> int | None:
    return int(text) // 1000


V2 = {
    "memory_max": File("memory", "memory.max", number_or_max, or_max),
    "cpu_quota": File("cpu", "cpu.max", _v2_quota, _v2_quota_text),
    "pids_max": File("pids", "pids.max", number_or_max, or_max),
    "memory_used": File("memory", "memory.current", int, str),
    "pids_used": File("pids", "pids.current", int, str),
    "cpu_used": File("cpu", "cpu.stat", _usage_usec, str),
}
V1 = {
    # What sockets hold has a counter of its own (admin-guide/cgroup-v1/memory, 2.7): TCP alone would take all memory.
    "memory_max": File("memory", "memory.limit_in_bytes", _v1_bytes, _minus_one, "memory.kmem.tcp.limit_in_bytes"),
    "cpu_quota": File("cpu", "cpu.cfs_quota_us", _v1_quota, _minus_one),
    "pids_max": File("pids", "pids.max", number_or_max, or_max),
    "memory_used": File("memory", "memory.usage_in_bytes", int, str),
    "pids_used": File("pids", "pids.current", int, str),
    "cpu_used": File("cpuacct", "cpuacct.usage", _nanoseconds, str),
}
V2_RATES = {"io_bytes": ("rbps", "wbps"), "io_operations": ("riops", "wiops")}
V1_RATES = {
    name: tuple(f"blkio.throttle.{way}_{unit}_device" for way in ("read", "write"))
    for name, unit in (("io_bytes", "bps"), ("io_operations", "iops"))
}
