# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options ``size`` and ``inodes`` of ``jail_rootfs``: how much a jail may write, held by its file system."""

from __future__ import annotations

import re
from typing import Any, Callable

from .. import sizes
from ..rootfs import storage
from ..rootfs.bounds import Bounds
from ..rootfs.storage import Storage
from ..sizes import UNLIMITED
from . import store
from .facet import Values
from .options import Option

_INODES_MAX = (1 << 32) - 1  # both ext4 and struct xfs_disk_dquot's users count so far


def _parse_inodes(value: Any) -> int | None:
    text = str(value).strip().lower()
    if text == UNLIMITED:
        return None
    if not re.fullmatch("[0-9]+", text) or not 1 <= int(text) <= _INODES_MAX:
        raise ValueError(f"{value!r} is not a number of inodes; write 1 to {_INODES_MAX}, or {UNLIMITED}")
    return int(text)


def _show_inodes(value: int | None) -> str:
    return UNLIMITED if value is None else str(value)


def _bound(name: str, parse: Callable[[Any], int | None], show: Callable[[int | None], str]) -> Option:
    def with_value(jail: str, value: int | None) -> Bounds:
        return storage.bounds_of(jail)._replace(**{name: value})

    return Option(
        name,
        parse=parse,
        show=show,
        read_stored=lambda jail: getattr(storage.bounds_of(jail), name),
        write_stored=lambda jail, value: storage.bind(jail, with_value(jail, value)),
        waits=lambda jail, value, running: storage.judge(jail, with_value(jail, value), running),
    )


OPTIONS = (_bound("size", sizes.parse, sizes.show), _bound("inodes", _parse_inodes, _show_inodes))


def wanted(values: Values) -> Bounds | None:
    """The limits that canonical values ask for; ``None`` where they say nothing of them."""
    if not any(option.name in values for option in OPTIONS):
        return None
    return Bounds(**{option.name: values.get(option.name) for option in OPTIONS})


def give(stored: Storage, recorded: Values) -> None:
    """Make recorded limits hold for storage that is about to become a jail's.

    :raises JailError: when they cannot.
    """
    keeper = stored.store.keeper
    holds = keeper.holding(stored.folder)
    wanted = holds._replace(**{option.name: recorded[option.name] for option in OPTIONS if option.name in recorded})
    if wanted != holds:
        keeper.bind(stored.folder, wanted)


def hold(name: str) -> None:
    """Make the limits hold that were recorded, before a jail starts: those that had to wait for it, and those that
    somebody has changed."""
    recorded = store.read(name, "rootfs")
    for option in OPTIONS:
        if option.name in recorded and option.read_stored and option.write_stored:
            value = recorded[option.name]
            if option.read_stored(name) != value:
                option.write_stored(name, value)
