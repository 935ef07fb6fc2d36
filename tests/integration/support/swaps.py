# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that change while somebody looks."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.syscalls import AT_FDCWD, libc

_RENAME_EXCHANGE = 2  # linux/fs.h


@contextlib.contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Have two names take each other's place, as fast as can be and in one step each (renameat2(2)), for a ``with``
    block."""
    names = os.fsencode(one), os.fsencode(other)

    def swap() -> None:
        process.die_with_parent()
        while True:
            # EBUSY, while somebody has something mounted there, is over soon.
            libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], ctypes.c_uint(_RENAME_EXCHANGE))

    pid = process.fork(swap)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        process.wait(pid)
