# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The use of jails as metrics. Names and labels are a contract with those who draw and watch them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..openmetrics import Family, Sample

Use = Mapping[str, Any]
"""What :func:`usage.all_of` has of one jail."""
_UNLIMITED = float("inf")


class _Row(NamedTuple):
    """One family: where its values are in the use of a jail, each with the labels that it gets besides the jail's."""

    name: str
    kind: str
    unit: str
    help: str
    places: Mapping[str, Mapping[str, str]]


def _plain(name: str, kind: str, unit: str, text: str, place: str) -> _Row:
    return _Row(name, kind, unit, text, {place: {}})


def _directions(name: str, unit: str, text: str, **places: str) -> _Row:
    return _Row(name, "counter", unit, text, {place: {"direction": way} for way, place in places.items()})


def _pressure(name: str, text: str, kind: str) -> _Row:
    places = {f"pressure.{each}.{kind}.seconds": {"resource": each} for each in ("cpu", "memory", "io")}
    return _Row(name, "counter", "seconds", text, places)


_ROWS = (
    _plain("jail_cpu_seconds", "counter", "seconds", "CPU time that the jail has had.", "cpu_seconds"),
    _plain(
        "jail_cpu_throttled_seconds",
        "counter",
        "seconds",
        "Time for which the CPUs of the jail were held back by its quota.",
        "throttled_seconds",
    ),
    _plain(
        "jail_cpu_throttled_periods",
        "counter",
        "",
        "Periods of the quota in which they were.",
        "throttled_periods",
    ),
    _plain("jail_memory_bytes", "gauge", "bytes", "Memory that the jail has, page cache included.", "memory"),
    _plain("jail_swap_bytes", "gauge", "bytes", "Memory of the jail that is swapped out.", "swap"),
    _plain("jail_memory_oom_kills", "counter", "", "Processes killed because memory was short.", "oom_kills"),
    _plain("jail_pids", "gauge", "", "Processes and threads of the jail.", "pids"),
    _directions(
        "jail_io_bytes",
        "bytes",
        "Bytes that the jail has read from disks and written to them.",
        read="io.read_bytes",
        write="io.written_bytes",
    ),
    _directions(
        "jail_io_operations",
        "",
        "Operations of reading from disks and writing to them.",
        read="io.reads",
        write="io.writes",
    ),
    _directions(
        "jail_network_bytes",
        "bytes",
        "Bytes that have come into the jail and left it.",
        receive="network.received_bytes",
        transmit="network.sent_bytes",
    ),
    _directions(
        "jail_network_packets",
        "",
        "Packets that have come into the jail and left it.",
        receive="network.received_packets",
        transmit="network.sent_packets",
    ),
    _pressure("jail_pressure_waiting_seconds", "Time in which some task of the jail waited for a resource.", "some"),
    _pressure("jail_pressure_stalled_seconds", "Time in which all tasks of the jail did.", "full"),
    _plain("jail_start_time_seconds", "gauge", "seconds", "When the jail was started, in Unix time.", "started_at"),
    _plain("jail_frozen", "gauge", "", "1 where the jail is frozen, else 0.", "frozen"),
)
_LIMITS = (
    ("jail_memory_limit_bytes", "bytes", "Memory that the jail may have.", "memory"),
    ("jail_pids_limit", "", "Processes and threads that the jail may have.", "pids"),
)


def families(jails: Mapping[str, Use]) -> Iterator[Family]:
    """The metrics of jails, by name. What a host does not count has no samples, and a family without any is left
    out."""
    for row in _ROWS:
        samples = [
            Sample({"jail": name, **labels}, value)
            for name, use in jails.items()
            for place, labels in row.places.items()
            if (value := _at({**use, "frozen": int(use["status"] == "frozen")}, place)) is not None
        ]
        if samples:
            yield Family(row.name, row.kind, row.unit, row.help, samples)
    for family, unit, text, used in _LIMITS:
        # Where nobody counts there is no limit; where it is counted, none is infinity.
        limits = {name: use[f"{used}_max"] for name, use in jails.items() if use[used] is not None}
        samples = [Sample({"jail": name}, _UNLIMITED if limit is None else limit) for name, limit in limits.items()]
        if samples:
            yield Family(family, "gauge", unit, text, samples)


def _at(use: Any, place: str) -> float | None:
    for key in place.split("."):
        if use is None:
            return None
        use = use[key]
    return None if use is None else float(use) if isinstance(use, float) else int(use)
