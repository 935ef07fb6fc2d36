# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures as OpenMetrics text (OpenMetrics 1.0, "Text Format"), which Prometheus' older text format can be read as
too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple


class Sample(NamedTuple):
    """One value, by labels."""

    labels: Mapping[str, str]
    value: float


class Family(NamedTuple):
    """Values of one kind.

    :param kind: ``counter`` or ``gauge``.
    :param unit: what the name ends with, such as ``seconds``; empty for numbers of things.
    """

    name: str
    kind: str
    unit: str
    help: str
    samples: Iterable[Sample]


def text(families: Iterable[Family]) -> str:
    """The whole of it, with its end."""
    return "".join(line for family in families for line in _lines(family)) + "# EOF\n"


def _lines(family: Family) -> Iterator[str]:
    yield f"# TYPE {family.name} {family.kind}\n"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}\n"
    yield f"# HELP {family.name} {_escaped(family.help)}\n"
    name = f"{family.name}_total" if family.kind == "counter" else family.name
    for sample in family.samples:
        labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in sample.labels.items())
        yield f"{name}{{{labels}}} {_number(sample.value)}\n"


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return repr(value)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
