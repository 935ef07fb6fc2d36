# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of tasks and of operations, as people write them."""

from __future__ import annotations

import re
from typing import Any

from ..sizes import UNLIMITED

TASKS_MAX = 4_194_304
"""The kernel's PID_MAX_LIMIT."""


def parse(value: Any, what: str = "tasks", most: int = TASKS_MAX) -> int | None:
    """A number from 1 to ``most``; ``None`` for ``unlimited``."""
    text = str(value).strip().lower()
    if text == UNLIMITED:
        return None
    if not re.fullmatch("[0-9]+", text) or int(text) < 1 or int(text) > most:
        raise ValueError(f"{value!r} is not a number of {what}; write 1 to {most}, or {UNLIMITED}")
    return int(text)


def show(value: int | None) -> str:
    """The number."""
    return UNLIMITED if value is None else str(value)
