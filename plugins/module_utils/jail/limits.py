# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_limits``: cgroup limits, changed live, with the same words on version 1 and 2."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Callable

from .. import sizes
from ..kernel import cgroup
from ..sizes import UNLIMITED
from .facet import Facet, all_well, always, no_conflicts, parse_each
from .options import Option
from .plan import plan_options

DEFAULT_PIDS = 4096
"""A fork bomb in a jail for which nobody set a limit is held by this one."""


def parse_cpus(value: Any) -> int | None:
    """A quota in microseconds of CPU time in each :data:`cgroup.PERIOD`; ``None`` for ``unlimited``."""
    text = str(value).strip().lower()
    if text == UNLIMITED:
        return None
    try:
        quota = round(float(text) * cgroup.PERIOD)
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r} is not a number of CPUs; write it like 0.5, 2, or {UNLIMITED}") from None
    if quota < 1000 or quota > 1 << 40:
        raise ValueError(f"{value!r} CPUs is out of range; the kernel takes 0.01 and more")
    return quota


def show_cpus(value: int | None) -> str:
    """CPUs, such as ``0.5``."""
    return UNLIMITED if value is None else f"{Decimal(value) / cgroup.PERIOD:f}"


def parse_count(value: Any) -> int | None:
    """A number of tasks; ``None`` for ``unlimited``."""
    text = str(value).strip().lower()
    if text == UNLIMITED:
        return None
    if not re.fullmatch("[0-9]+", text) or int(text) < 1 or int(text) > 4_194_304:
        raise ValueError(
            f"{value!r} is not a number of tasks; write 1 to 4194304 (the kernel's PID_MAX_LIMIT) or {UNLIMITED}"
        )
    return int(text)


def show_count(value: int | None) -> str:
    """Tasks."""
    return UNLIMITED if value is None else str(value)


FIGURES = {"memory_max": "memory_max", "cpus": "cpu_quota", "pids_max": "pids_max"}
"""The cgroup's own name (:mod:`cgroup`) of each option."""


def _limit(name: str, parse: Callable[[Any], Any], show: Callable[[Any], Any], default: Any = None) -> Option:
    figure = FIGURES[name]
    return Option(
        name,
        default=default,
        parse=parse,
        show=show,
        read=lambda running: running.group.get(figure),
        write=lambda running, value: running.group.set(figure, value),
    )


OPTIONS = (
    _limit("memory_max", sizes.parse, sizes.show),
    _limit("cpus", parse_cpus, show_cpus),
    _limit("pids_max", parse_count, show_count, default=DEFAULT_PIDS),
)

FACET = Facet(
    name="limits",
    options=OPTIONS,
    states=(),
    parse=parse_each(OPTIONS),
    plan=plan_options,
    exists=always,
    conflicts=no_conflicts,
    perform={},
    settle=all_well,
)


def apply_to_new(group: cgroup.Group, recorded: dict[str, Any]) -> None:
    """Set the recorded or default limits on a fresh cgroup, before anything runs in it."""
    for option in OPTIONS:
        value = recorded.get(option.name, option.default)
        if value is not None:
            group.set(FIGURES[option.name], value)
