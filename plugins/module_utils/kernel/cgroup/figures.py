# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each figure of a control group stands, on version 2 and on version 1: its controller, its file, and how the
file's text and a number become each other (the kernel's admin-guide/cgroup-v2 and cgroup-v1)."""

from __future__ import annotations

from typing import Callable, NamedTuple

PERIOD = 100_000
"""Microseconds over which a CPU quota counts: the kernel's own default."""

_WEIGHT, _SHARES = 100, 1024
_V1_UNLIMITED = 1 << 60  # memory.limit_in_bytes shows "no limit" as the largest page counter


class File(NamedTuple):
    """Where one figure stands: its controller, its file, and how text and number become each other.

    :param besides: another file where a limit has to be written, if it is there; where only that is there, it counts.
    :param needs: what brings the file about, for a host that has the controller and not the file.
    """

    controller: str
    name: str
    parse: Callable[[str], int | None]
    format: Callable[[int | None], str]
    besides: str | None = None
    needs: str = "a newer kernel"


def number_or_max(text: str) -> int | None:
    """A number as version 2 shows it."""
    return None if text.strip() == "max" else int(text)


def or_max(value: int | None) -> str:
    """A number as version 2 takes it."""
    return "max" if value is None else str(value)


def bytes_or_none(text: str) -> int | None:
    """Bytes as version 1 shows them."""
    return int(text) if int(text) < _V1_UNLIMITED else None


def or_minus_one(value: int | None) -> str:
    """A number as version 1 takes it."""
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


def _shares(weight: int | None) -> str:
    # The kernel's own conversion (kernel/sched/core.c, cpu_weight_write_u64): shares are 1024 where a weight is 100.
    return str((int(weight or _WEIGHT) * _SHARES + _WEIGHT // 2) // _WEIGHT)


def _weight(text: str) -> int | None:
    return (int(text) * _WEIGHT + _SHARES // 2) // _SHARES


def _default_weight(text: str) -> int | None:
    """The weight of all disks for which there is no line of their own."""
    return int(text.splitlines()[0].split()[-1])


def _as_default(weight: int | None) -> str:
    return f"default {weight}"


_SWAP = "swap in the kernel, and swapaccount=1 on its command line where it is older than Linux 6.1"
_IO_COST = "the scheduler BFQ for a disk, or a kernel with CONFIG_BLK_CGROUP_IOCOST"

V2 = {
    "memory_max": File("memory", "memory.max", number_or_max, or_max),
    "memory_high": File("memory", "memory.high", number_or_max, or_max),
    "memory_min": File("memory", "memory.min", number_or_max, or_max),
    "memory_low": File("memory", "memory.low", number_or_max, or_max),
    "swap_max": File("memory", "memory.swap.max", number_or_max, or_max, needs=_SWAP),
    "oom_group": File("memory", "memory.oom.group", int, str),
    "cpu_quota": File("cpu", "cpu.max", _v2_quota, _v2_quota_text),
    "cpu_weight": File("cpu", "cpu.weight", int, str),
    "cpu_burst": File("cpu", "cpu.max.burst", int, str),
    "cpu_idle": File("cpu", "cpu.idle", int, str),
    "io_weight": File("io", "io.weight", _default_weight, _as_default, "io.bfq.weight", _IO_COST),
    "pids_max": File("pids", "pids.max", number_or_max, or_max),
    "memory_used": File("memory", "memory.current", int, str),
    "pids_used": File("pids", "pids.current", int, str),
    "cpu_used": File("cpu", "cpu.stat", _usage_usec, str),
}
V1 = {
    # What sockets hold has a counter of its own (admin-guide/cgroup-v1/memory, 2.7): TCP alone would take all memory.
    "memory_max": File(
        "memory", "memory.limit_in_bytes", bytes_or_none, or_minus_one, "memory.kmem.tcp.limit_in_bytes"
    ),
    # Of memory and swap together; the group makes one of it and the other.
    "swap_max": File("memory", "memory.memsw.limit_in_bytes", bytes_or_none, or_minus_one, needs=_SWAP),
    "cpu_quota": File("cpu", "cpu.cfs_quota_us", _v1_quota, or_minus_one),
    "cpu_weight": File("cpu", "cpu.shares", _weight, _shares),
    "cpu_burst": File("cpu", "cpu.cfs_burst_us", int, str),
    "cpu_idle": File("cpu", "cpu.idle", int, str),
    # The other one, of the scheduler CFQ, went with it from Linux 5.0.
    "io_weight": File("blkio", "blkio.bfq.weight", int, str, "blkio.weight", _IO_COST),
    "pids_max": File("pids", "pids.max", number_or_max, or_max),
    "memory_used": File("memory", "memory.usage_in_bytes", int, str),
    "pids_used": File("pids", "pids.current", int, str),
    "cpu_used": File("cpuacct", "cpuacct.usage", _nanoseconds, str),
}
RATES = ("rbps", "wbps", "riops", "wiops")
"""Limits of one disk: bytes and operations in each second, of reading and of writing."""
LATENCY = "latency"
"""Another: microseconds that reading and writing may take before others have to wait."""
V1_RATES = {
    rate: f"blkio.throttle.{way}_{unit}_device"
    for rate, way, unit in (
        ("rbps", "read", "bps"),
        ("wbps", "write", "bps"),
        ("riops", "read", "iops"),
        ("wiops", "write", "iops"),
    )
}
