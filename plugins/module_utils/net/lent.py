# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices of the host jails have to themselves, and how they were before: on record, since the kernel forgets.

The record is as old as the host's uptime, as is what it tells of. A jail's number stands for the jail.
"""

from __future__ import annotations

from typing import TypedDict

from .. import files, layout

_KEY = "devices"
_LOCK = "borrowed"


class Lent(TypedDict):
    """One of them, as it was."""

    parent: str
    """Its name."""
    kind: str
    mac: str
    mtu: int
    up: bool
    ifindex: int
    """In the jail, once it is there."""
    asked: str
    """The MAC address that it was to have in the jail; empty for its own."""


def of(slot: int) -> dict[str, Lent]:
    """Those of a jail, by their names in it."""
    found: dict[str, Lent] = (files.read_json(layout.BORROWED) or {}).get(_KEY, {}).get(str(slot), {})
    return found


def holder(parent: str) -> int | None:
    """The number of the jail that has the device that the host calls so."""
    everybody = (files.read_json(layout.BORROWED) or {}).get(_KEY, {})
    return next((int(s) for s, lent in everybody.items() if any(e["parent"] == parent for e in lent.values())), None)


def note(slot: int, name: str, device: Lent) -> None:
    """Record one: before it is given away, so that a run that is killed over it leaves a trace."""
    with files.locked(_LOCK):
        state = files.read_json(layout.BORROWED) or {}
        state.setdefault(_KEY, {}).setdefault(str(slot), {})[name] = device
        files.write_json(layout.BORROWED, state)


def strike(slot: int, name: str) -> None:
    """Forget one: after it was given back."""
    with files.locked(_LOCK):
        state = files.read_json(layout.BORROWED) or {}
        left = state.get(_KEY, {}).get(str(slot), {})
        if left.pop(name, None) is not None:
            if not left:
                state[_KEY].pop(str(slot))
            files.write_json(layout.BORROWED, state)
