# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a start mounts in every jail, and where: :mod:`..assemble` and :mod:`.covers`, as a mount table has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .record import Isolation


class Expected(NamedTuple):
    """What may be mounted on a place: a file system (``None``: any), with at least these flags."""

    fstype: str | None
    flags: frozenset[str]


BASE: Mapping[str, Expected] = {
    "/": Expected(None, frozenset({"nodev"})),
    "/dev": Expected("tmpfs", frozenset({"nosuid", "noexec"})),
    "/dev/pts": Expected("devpts", frozenset({"nosuid", "noexec"})),
    "/dev/shm": Expected("tmpfs", frozenset({"nosuid", "nodev"})),
    "/dev/mqueue": Expected("mqueue", frozenset({"nosuid", "nodev", "noexec"})),
    "/proc": Expected("proc", frozenset({"nosuid", "nodev", "noexec"})),
    "/sys": Expected("sysfs", frozenset({"ro", "nosuid", "nodev", "noexec"})),
    "/run": Expected("tmpfs", frozenset({"nosuid", "nodev"})),
    "/run/lock": Expected("tmpfs", frozenset({"nosuid", "nodev", "noexec"})),
}


def with_covers(isolation: Isolation, others: Mapping[str, Expected]) -> dict[str, Expected]:
    """By place, others among them. What covers or is read-only is on the list of its paths; which of them this kernel
    has is looked at elsewhere (:mod:`covers`)."""
    found = dict(BASE)
    for path in isolation.writable_paths:
        found[path] = Expected(None, frozenset())
    for path in isolation.readonly_paths:
        found[path] = Expected(None, frozenset({"ro"}))
    found.update(others)
    for path in isolation.masked_paths:
        found[path] = Expected("tmpfs", frozenset({"nosuid", "noexec"}))
    return found
