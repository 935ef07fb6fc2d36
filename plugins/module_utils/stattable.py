# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What jails take, as rows of a table: rates between two looks, and what is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

_HEADER = (
    "NAME", "STATUS", "CPU%", "THR%", "MEMORY", "LIMIT", "SWAP", "PIDS", "READ/s", "WRITE/s", "IN/s", "OUT/s",
    "PSI-CPU", "PSI-MEM", "PSI-IO", "OOM", "UPTIME",
)  # fmt: skip
_NOT_COUNTED, _UNLIMITED = "-", "max"
_UNITS = "BKMGTP"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Look(NamedTuple):
    """What all jails had at some moment of the monotonic clock, as ``jail.usage.all_of`` has it."""

    at: float
    jails: Mapping[str, Mapping[str, Any]]


class _Rates(NamedTuple):
    """Of one jail, for each second; ``None`` where it is not counted."""

    cpu: float | None
    throttled: float | None
    io: tuple[float | None, float | None]
    network: tuple[float | None, float | None]


class _Line(NamedTuple):
    name: str
    use: Mapping[str, Any]
    rates: _Rates


def _largest(value: Callable[[_Line], float | None]) -> Callable[[_Line], Any]:
    return lambda line: (-(value(line) or 0), line.name)


ORDERS: Mapping[str, Callable[[_Line], Any]] = {
    "cpu": _largest(lambda line: line.rates.cpu),
    "memory": _largest(lambda line: line.use["memory"]),
    "io": _largest(lambda line: sum(rate or 0 for rate in line.rates.io)),
    "network": _largest(lambda line: sum(rate or 0 for rate in line.rates.network)),
    "pids": _largest(lambda line: line.use["pids"]),
    "uptime": _largest(lambda line: line.use["uptime"]),
    "name": lambda line: line.name,
}
"""The keys that a table can be sorted by."""


def rows(before: Look, now: Look, order: str) -> list[Sequence[str]]:
    """The header and a row for each jail that was there at the second look; rates of one that was started since are
    those since its start."""
    lines = [_Line(name, use, _rates(before, now, name)) for name, use in now.jails.items()]
    return [_HEADER, *(_row(line) for line in sorted(lines, key=ORDERS[order]))]


def _rates(before: Look, now: Look, name: str) -> _Rates:
    use, earlier = now.jails[name], before.jails.get(name)
    seconds = now.at - before.at
    if earlier is None or earlier["started_at"] != use["started_at"]:
        earlier, seconds = None, use["uptime"]

    def rate(*keys: str) -> float | None:
        value = _at(use, keys)
        if value is None:
            return None
        return max(0.0, value - ((_at(earlier, keys) if earlier else 0) or 0)) / max(seconds, 0.001)

    return _Rates(
        rate("cpu_seconds"),
        rate("throttled_seconds"),
        (rate("io", "read_bytes"), rate("io", "written_bytes")),
        (rate("network", "received_bytes"), rate("network", "sent_bytes")),
    )


def _at(use: Any, keys: Sequence[str]) -> float | None:
    for key in keys:
        use = None if use is None else use[key]
    return None if use is None else float(use)


def _row(line: _Line) -> Sequence[str]:
    use, rates = line.use, line.rates
    return (
        line.name,
        use["status"],
        _percent(rates.cpu),
        _percent(rates.throttled),
        _size(use["memory"]),
        _limit(use["memory_max"], use["memory"]),
        _size(use["swap"]),
        _count(use["pids"]),
        *map(_size, rates.io),
        *map(_size, rates.network),
        *(_pressure(use["pressure"], each) for each in ("cpu", "memory", "io")),
        _count(use["oom_kills"]),
        uptime(use["uptime"]),
    )


def _percent(part: float | None) -> str:
    return _NOT_COUNTED if part is None else f"{part * 100:.1f}"


def _count(number: int | None) -> str:
    return _NOT_COUNTED if number is None else str(number)


def _limit(most: int | None, used: int | None) -> str:
    if used is None:
        return _NOT_COUNTED
    return _UNLIMITED if most is None else _size(most)


def _size(size: float | None) -> str:
    if size is None:
        return _NOT_COUNTED
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f}{_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.1f}{_UNITS[unit]}"


def _pressure(found: Mapping[str, Any] | None, resource: str) -> str:
    some = None if found is None or resource not in found else found[resource]["some"]
    return _NOT_COUNTED if some is None else f"{some['percent']:.1f}"


def uptime(seconds: float) -> str:
    """The two largest units of a time."""
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d{whole % _DAY // _HOUR:02}h"
