# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slots: each jail has a small number of its own, and by it a range of 65,536 user and group ids that nobody else
has.

Allocated once under a lock, recorded in :data:`layout.IDS`, freed when the jail is removed. Files on disk carry ids
from 0 on, so a slot that is used again finds nothing of its previous owner.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .. import files, layout
from ..errors import JailError

COUNT = 65_536
FIRST = 0x1000_0000
LAST = 0x6FFF_FFFF
"""The ids for containers as systemd's "Users, Groups, UIDs and GIDs" lays them out end at 0x6FFFFFFF; the lower
ones are what nspawn, podman and adduser take first."""

_IDS = (1 << 32) - 1  # the last one stands for "no id" (setresuid(2))
_ROOT = ("root", "0")
_SUBORDINATE = ("/etc/subuid", "/etc/subgid")


def first_id(slot: int) -> int:
    """The host id of user 0 of the jail in this slot."""
    return FIRST + slot * COUNT


def first_for(userns: str, slot: int) -> int | None:
    """The host id of user 0 of a jail with this option ``userns``; ``None`` in the host's user namespace."""
    if userns == "host":
        return None
    return first_id(slot) if userns == "auto" else int(userns)


def find(name: str) -> int | None:
    """The slot of a jail; ``None`` when it has none yet."""
    slot = (files.read_json(layout.IDS) or {}).get(name)
    return None if slot is None else int(slot)


def names() -> list[str]:
    """Who has a slot."""
    return sorted(files.read_json(layout.IDS) or {})


def allocate(name: str) -> int:
    """The slot of a jail, taken now if it has none.

    :raises JailError: when every range is taken.
    """
    with files.locked("ids"):
        taken = files.read_json(layout.IDS) or {}
        if name not in taken:
            taken[name] = _free_slot(set(taken.values()))
            files.write_json(layout.IDS, taken)
        return int(taken[name])


def free(name: str) -> None:
    """Give a jail's slot back."""
    with files.locked("ids"):
        taken = files.read_json(layout.IDS) or {}
        if taken.pop(name, None) is not None:
            files.write_json(layout.IDS, taken)


def check_fixed(first: int) -> None:
    """Refuse a range that an administrator names by its first id, where others have or may get ids of it.

    :raises ValueError: then.
    """
    end = first + COUNT
    if first < COUNT or end > _IDS:
        raise ValueError(f"{first} is not between {COUNT} and {_IDS - COUNT}")
    if first <= LAST and end > FIRST:
        raise ValueError(f"{first}: the ids from {FIRST} to {LAST} are given out by auto")
    for start, stop in _foreign_ranges(besides=_ROOT):
        if first < stop and start < end:
            raise ValueError(
                f"{first}: its ids reach into {start} to {stop - 1}, which subuid or subgid give to a user"
            )


def _free_slot(taken: set[int]) -> int:
    foreign = list(_foreign_ranges())
    for slot in range((LAST + 1 - FIRST) // COUNT):
        first = first_id(slot)
        if slot not in taken and not any(first < end and start < first + COUNT for start, end in foreign):
            return slot
    raise JailError(f"no range of {COUNT} user ids is free between {FIRST} and {LAST}", advice="remove a jail")


def _foreign_ranges(besides: Collection[str] = ()) -> Iterator[tuple[int, int]]:
    """Ranges that subuid(5) and subgid(5) give to somebody besides these users, as (first, end)."""
    for path in _SUBORDINATE:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split(":")
            if len(fields) == 3 and fields[0] not in besides and fields[1].isdigit() and fields[2].isdigit():
                yield int(fields[1]), int(fields[1]) + int(fields[2])
