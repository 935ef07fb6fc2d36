# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes of our own process that a security module keeps in ``/proc/self`` (proc_pid_attr(5))."""

from __future__ import annotations

import errno
import os

from . import mounts, paths

_PROC_MAGIC = 0x9FA0  # linux/magic.h


def write_own(path: str, text: str) -> None:
    """Write to a file below ``/proc/self``, in whatever mount namespace we are.

    Somebody may have mounted something else over /proc or parts of it, so that the write goes where he wants
    (CVE-2019-16884): what is opened must be proc from its root to the file.

    :raises OSError: ``ENODEV`` when it is not, ``EXDEV`` when something lies over a part of it.
    """
    with paths.opened(os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)) as proc:
        if mounts.magic_of(proc) != _PROC_MAGIC:
            raise OSError(errno.ENODEV, "not the proc file system", "/proc")
        resolve = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_XDEV | paths.RESOLVE_NO_MAGICLINKS
        with paths.opened(paths.openat2(proc, f"self/{path}", os.O_WRONLY, resolve)) as file:
            os.write(file, text.encode())
