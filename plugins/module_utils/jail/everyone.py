# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do something to all processes of a running jail, which go on making new ones meanwhile."""

from __future__ import annotations

from collections.abc import Collection
from typing import Callable

from ..errors import JailError

_ROUNDS = 50


def reach(found: Callable[[], Collection[int]], act: Callable[[Collection[int]], None]) -> None:
    """Call ``act`` with the numbers that are there, then with those that have come since, until none has: what is made
    by one that was acted upon is as it is.

    :raises JailError: when there are always new ones.
    """
    seen: set[int] = set()
    for _round in range(_ROUNDS):
        new = set(found()) - seen
        if not new:
            return
        act(sorted(new))
        seen |= new
    raise JailError(
        "its processes make new ones faster than they can be changed",
        advice="jail freeze it, change it, and jail thaw it",
    )
