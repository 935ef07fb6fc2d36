# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ages as people write them: a number and a unit, such as ``12h``."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE = re.compile(r"([0-9]{1,9})([smhdw])")


def parse(value: Any) -> int:
    """Seconds.

    :raises ValueError: says how to write it.
    """
    match = _AGE.fullmatch(str(value).strip())
    if not match:
        raise ValueError(f"{value!r} is not an age; write it like 30m, 12h, 7d or 2w")
    return int(match[1]) * _UNITS[match[2]]


def show(seconds: float) -> str:
    """Roughly, in the largest unit that there is one of: ``3d``."""
    whole = max(0, int(seconds))
    unit = next((unit for unit in ("w", "d", "h", "m") if whole >= _UNITS[unit]), "s")
    return f"{whole // _UNITS[unit]}{unit}"
