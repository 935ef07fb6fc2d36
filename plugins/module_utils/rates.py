# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data rates as people write them, in the words of tc(8): bits per second, by powers of 1,000."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

UNLIMITED = "unlimited"

_UNITS = {"": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_RATE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([KMG]?)BIT", re.ASCII)
_LEAST = 8_000
"""A packet of 1,500 bytes takes one and a half seconds."""
_MOST = 34_000_000_000
"""The kernel's token bucket has 32 bits for the bytes of a second (linux/pkt_sched.h, ``tc_ratespec``)."""


def parse(value: Any) -> int | None:
    """Bytes per second, which the kernel counts in, rounded down; ``None`` for ``unlimited``.

    A number without a unit is refused, and so is tc's ``bps``: it means bytes there and bits to most people.
    """
    text = str(value).strip().upper()
    if text == UNLIMITED.upper():
        return None
    match = _RATE.fullmatch(text)
    if not match:
        raise ValueError(
            f"{value!r} is not a rate; write it like 512Kbit, 10Mbit, 1.5Gbit (per second), or {UNLIMITED}"
        )
    bits = int(Decimal(match.group(1)) * _UNITS[match.group(2)])
    if not _LEAST <= bits <= _MOST:
        raise ValueError(f"{value!r} is out of range; the least is {_show(_LEAST)} and the most {_show(_MOST)}")
    return bits // 8


def show(value: int | None) -> str:
    """The shortest exact form of bytes per second, such as ``10Mbit``."""
    return UNLIMITED if value is None else _show(value * 8)


def _show(bits: int) -> str:
    unit = next(unit for unit in ("G", "M", "K", "") if bits % _UNITS[unit] == 0)
    return f"{bits // _UNITS[unit]}{unit}bit"


def is_canonical(text: str) -> bool:
    """Whether this is what :func:`show` gives for something."""
    try:
        return show(parse(text)) == text
    except ValueError:
        return False
