# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times that reading and writing may take, as people write them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from ...sizes import UNLIMITED

_UNITS = {"us": 1, "ms": 1000, "s": 1_000_000}
_MOST = 60_000_000


def parse(value: Any) -> int | None:
    """Microseconds; ``None`` for ``unlimited``."""
    text = str(value).strip().lower()
    if text == UNLIMITED:
        return None
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(us|ms|s)", text)
    found = int(Decimal(match.group(1)) * _UNITS[match.group(2)]) if match else 0
    if not 1 <= found <= _MOST:
        raise ValueError(f"{value!r} is not a latency; write it like 500us, 10ms, 1s (the most is 60s), or {UNLIMITED}")
    return found


def show(value: int | None) -> str:
    """The shortest exact form, such as ``10ms``."""
    if value is None:
        return UNLIMITED
    unit = next(unit for unit in ("s", "ms", "us") if value % _UNITS[unit] == 0)
    return f"{value // _UNITS[unit]}{unit}"
