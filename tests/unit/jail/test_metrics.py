# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of jails: names are in order, whatever a host counts."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.openmetrics import parser

from ansible_collections.cellblock.jails.plugins.module_utils import openmetrics, stattable
from ansible_collections.cellblock.jails.plugins.module_utils.jail import metrics

_STALL = {"some": {"percent": 1.0, "seconds": 2.5}, "full": {"percent": 0.5, "seconds": 1.25}}
_FULL: dict[str, Any] = {
    "status": "started",
    "pid": 7,
    "started_at": 1.5e9,
    "uptime": 100.0,
    "cpu_seconds": 12.5,
    "throttled_seconds": 0.25,
    "throttled_periods": 3,
    "memory": 5 << 20,
    "memory_max": 64 << 20,
    "swap": 0,
    "oom_kills": 1,
    "pids": 4,
    "pids_max": None,
    "io": {"read_bytes": 1, "written_bytes": 2, "reads": 3, "writes": 4},
    "network": {"received_bytes": 5, "sent_bytes": 6, "received_packets": 7, "sent_packets": 8},
    "pressure": {"cpu": {**_STALL, "full": None}, "memory": _STALL, "io": _STALL},
}
_BARE = {**dict.fromkeys(_FULL), **{key: _FULL[key] for key in ("status", "pid", "started_at", "uptime", "network")}}


@pytest.mark.parametrize("jails", [{"a": _FULL}, {"a": _BARE}, {"a": _FULL, "b": _BARE}, {}])
def test_every_mixture_is_in_order(jails: dict[str, Any]) -> None:
    """Each family once, none empty, and each name as its type and unit want it."""
    found = list(parser.text_string_to_metric_families(openmetrics.text(metrics.families(jails))))
    names = [family.name for family in found]
    assert len(names) == len(set(names))
    for family in found:
        assert family.samples
        assert family.documentation
        assert family.name.endswith(family.unit)
        assert {sample.labels["jail"] for sample in family.samples} <= set(jails)
    assert ("jail_pressure_waiting_seconds" in names) == any(use["pressure"] for use in jails.values())


def test_a_limit_that_is_not_there_is_infinite_only_where_it_is_counted() -> None:
    """Unlimited and not counted are two things."""
    found = {family.name: family for family in metrics.families({"a": _FULL, "b": _BARE})}
    assert [sample.value for sample in found["jail_pids_limit"].samples] == [float("inf")]
    assert [sample.value for sample in found["jail_memory_limit_bytes"].samples] == [64 << 20]


def test_rates_are_those_between_two_looks() -> None:
    """Of a jail that was there before; of one that was started since, or again, those since its start."""
    later = {**_FULL, "cpu_seconds": 13.5, "io": {**_FULL["io"], "read_bytes": 2049}}
    before = stattable.Look(100.0, {"a": _FULL, "b": {**_FULL, "started_at": 1.4e9, "cpu_seconds": 99.0}})
    header, first, second, third = stattable.rows(
        before, stattable.Look(102.0, {"a": later, "b": _FULL, "c": _BARE}), "cpu"
    )
    rows = [dict(zip(header, row)) for row in (first, second, third)]
    assert [(row["NAME"], row["CPU%"]) for row in rows] == [("a", "50.0"), ("b", "12.5"), ("c", "-")]
    assert (rows[0]["READ/s"], rows[0]["LIMIT"], rows[0]["PSI-MEM"]) == ("1.0K", "64.0M", "1.0")
    assert (rows[2]["MEMORY"], rows[2]["LIMIT"], rows[2]["PSI-CPU"], rows[2]["OOM"]) == ("-", "-", "-", "-")


@pytest.mark.parametrize("order", list(stattable.ORDERS))
def test_every_order_takes_what_is_not_counted(order: str) -> None:
    """It is sorted as nothing, and equal ones by name."""
    look = stattable.Look(1.0, {"b": _BARE, "a": _BARE, "c": _FULL})
    rows = stattable.rows(stattable.Look(0.0, look.jails), look, order)
    assert {row[0] for row in rows[1:]} == {"a", "b", "c"}
    assert [row[0] for row in rows if row[0] in "ab"] == ["a", "b"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59.9, "59s"), (60, "1m00s"), (3599, "59m59s"), (3600, "1h00m"), (86399, "23h59m"), (90000, "1d01h")],
)
def test_times_are_short(seconds: float, text: str) -> None:
    """The two largest units."""
    assert stattable.uptime(seconds) == text
