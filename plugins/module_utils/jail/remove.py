# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a jail with all that is recorded and stored of it."""

from __future__ import annotations

from ..rootfs import snapshots, storage
from . import console, ids, live, network, stop, store


def has_traces(name: str) -> bool:
    """Whether anything of a jail is on this host."""
    return (
        name in store.names()
        or name in set(live.names())
        or storage.describe(name) is not None
        or name in snapshots.names()
        or ids.find(name) is not None
    )


def remove(name: str) -> None:
    """Stop a jail and remove everything of it. Can be repeated: what a killed run left half removed goes too."""
    stop.stop_as_desired(name)
    storage.remove(name)
    storage.sweep()
    snapshots.remove_all(name)
    network.release(name)
    store.forget_all(name)
    ids.free(name)
    console.remove(name)
