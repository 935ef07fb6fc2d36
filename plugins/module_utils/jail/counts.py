# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of tasks and of operations, and weights, as people write them."""

from __future__ import annotations

import re
from typing import Any, Callable

from ..sizes import UNLIMITED

TASKS_MAX = 4_194_304
"""The kernel's PID_MAX_LIMIT."""


def parse(value: Any, what: str = "tasks", most: int = TASKS_MAX) -> int | None:
    """A number from 1 to ``most``; ``None`` for ``unlimited``."""
    text = str(value).strip().lower()
    if text == UNLIMITED:
        return None
    if not _is_one_of(text, most):
        raise ValueError(f"{value!r} is not a number of {what}; write 1 to {most}, or {UNLIMITED}")
    return int(text)


def parse_weight(most: int) -> Callable[[Any], int]:
    """A parser of weights from 1 to ``most``."""

    def parse_it(value: Any) -> int:
        text = str(value).strip()
        if not _is_one_of(text, most):
            raise ValueError(f"{value!r} is not a weight; write 1 to {most}")
        return int(text)

    return parse_it


def _is_one_of(text: str, most: int) -> bool:
    return re.fullmatch("[0-9]{1,20}", text) is not None and 1 <= int(text) <= most


def show(value: int | None) -> str:
    """The number."""
    return UNLIMITED if value is None else str(value)
