# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold a running jail still, and let it go on. It keeps its memory, its connections and its files open."""

from __future__ import annotations

import errno

from ..errors import JailError
from ..kernel.cgroup import freezer
from .live import Running


def freeze(running: Running) -> None:
    """Freeze a jail, if it is not frozen already.

    :raises JailError: where the host has no freezer, or a process of the jail cannot be held.
    """
    try:
        freezer.freeze(running.group)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EBUSY) or error.strerror is None:
            raise
        advice = "try again, or look what it waits for: /proc/PID/stack" if error.errno == errno.EBUSY else None
        raise JailError(error.strerror, option="state", advice=advice) from error


def thaw(running: Running) -> None:
    """Let it go on, if it is frozen."""
    if freezer.is_frozen(running.group):
        freezer.thaw(running.group)


def refuse_frozen(running: Running) -> None:
    """Refuse what would be frozen too and never come back.

    :raises JailError: then.
    """
    if freezer.is_frozen(running.group):
        raise JailError("it is frozen, and so would be what enters", advice=f"thaw it first: jail thaw {running.name}")
