# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What running jails take, by the kernel's counters: for ``jail_info``, and for ``jail stat``, which reads hundreds
of them again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import JailError
from ..kernel.cgroup import freezer, usage
from ..kernel.pressure import Pressure, Stall
from ..net import counters
from . import live
from .live import Running

_NETWORK = ("received_bytes", "received_packets", "sent_bytes", "sent_packets")
_LOOPBACK = "lo"


def of(running: Running) -> dict[str, Any]:
    """The use of a jail, JSON-able. Times are in seconds, sizes in bytes; ``None`` is what this host does not count,
    or a limit that there is not.

    :raises JailError: when it ended meanwhile.
    """
    found = usage.of(running.group)
    throttled, periods = (None, None) if found.throttled is None else found.throttled
    return {
        "cpu_seconds": _seconds(found.cpu),
        "throttled_seconds": _seconds(throttled),
        "throttled_periods": periods,
        "memory": found.memory,
        "memory_max": found.memory_max,
        "swap": found.swap,
        "oom_kills": found.oom_kills,
        "pids": found.tasks,
        "pids_max": found.tasks_max,
        "io": None if found.disks is None else dict(found.disks),
        "network": network(running),
        "pressure": None
        if found.pressure is None
        else {resource: _stalls(each) for resource, each in found.pressure.items()},
    }


def network(running: Running) -> dict[str, int]:
    """What has come into the jail and left it through all its devices but the loopback, as it sees that.

    :raises JailError: when it ended meanwhile.
    """
    devices = counters.read(running.open_part(counters.FILE))
    return {name: sum(device[name] for key, device in devices.items() if key != _LOOPBACK) for name in _NETWORK}


def all_of(names: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """The use of all jails that run, or of these, by name: ``status``, ``pid``, ``uptime`` and what :func:`of` has.

    :raises JailError: for one of these that does not run.
    """
    runnings = _running() if names is None else [_expected(name) for name in names]
    found = {}
    for running in runnings:
        try:
            found[running.name] = {**_of_its_start(running), **of(running)}
        except JailError:
            continue  # it has just ended
    return found


def _running() -> Iterator[Running]:
    for name in sorted({name for name in live.names() if not name.startswith(".")}):
        running = live.find(name)
        if running is not None:
            yield running


def _expected(name: str) -> Running:
    try:
        return live.expect(name)
    except JailError as error:
        raise JailError(f"{name}: {error}") from error


def _of_its_start(running: Running) -> dict[str, Any]:
    return {
        "status": "frozen" if freezer.is_frozen(running.group) else "started",
        "pid": running.pid,
        "started_at": running.started_at,
        "uptime": round(time.time() - running.started_at, 1),
    }


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6


def _stalls(pressure: Pressure) -> dict[str, Any]:
    return {"some": _stall(pressure.some), "full": _stall(pressure.full)}


def _stall(stall: Stall | None) -> dict[str, float] | None:
    return None if stall is None else {"percent": stall.average, "seconds": stall.total / 1e6}
