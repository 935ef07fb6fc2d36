# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures from samples, and a table of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Samples(NamedTuple):
    """Nanoseconds, one of each for each round."""

    start: list[int]
    stop: list[int]


class Figures(NamedTuple):
    """Microseconds."""

    median: float
    p10: float
    p90: float


def figures(samples: Sequence[int]) -> Figures:
    """The figures of at least one sample."""
    if len(samples) == 1:
        only = samples[0] / 1000
        return Figures(only, only, only)
    tenths = statistics.quantiles(samples, n=10, method="inclusive")
    return Figures(statistics.median(samples) / 1000, tenths[0] / 1000, tenths[-1] / 1000)


def table(measured: Mapping[str, Samples], floors: Sequence[str]) -> str:
    """A line for each contender, fastest first, with the ratio of its median to that of each floor."""
    floors = [floor for floor in floors if floor in measured]
    titles = ["", "start", "p10", "p90", *(f"/ {floor}" for floor in floors), "stop", "p10", "p90"]
    medians = {name: figures(samples.start).median for name, samples in measured.items()}
    rows = []
    for name in sorted(measured, key=lambda one: medians[one]):
        begin, end = figures(measured[name].start), figures(measured[name].stop)
        ratios = [f"{begin.median / medians[floor]:.2f}" for floor in floors]
        rows.append([name, *(f"{figure:.0f}" for figure in begin), *ratios, *(f"{figure:.0f}" for figure in end)])
    return columns([titles, *rows])


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Text in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_json(measured: Mapping[str, Samples], missing: Mapping[str, str], machine: Mapping[str, object]) -> object:
    """All of it, with every sample."""
    contenders: dict[str, object] = {}
    for name, samples in measured.items():
        contenders[name] = {
            "start_us": figures(samples.start)._asdict(),
            "stop_us": figures(samples.stop)._asdict(),
            "start_ns": samples.start,
            "stop_ns": samples.stop,
        }
    return {"machine": dict(machine), "contenders": contenders, "missing": dict(missing)}
