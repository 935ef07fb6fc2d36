# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extended attributes (xattr(7)) of whatever a descriptor stands for.

f*xattr(2) wants a file that was opened; these work on ``O_PATH`` descriptors as well, so on symbolic links, devices
and FIFOs that nobody dares to open: /proc/self/fd/N leads to the very inode (proc_pid_fd(5)).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping

from . import paths


def read(descriptor: int) -> dict[str, bytes]:
    """All attributes and their values; none where the file system has no attributes."""
    path = paths.name_of(descriptor)
    found = {}
    try:
        names = os.listxattr(path)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return {}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            value = _value(path, name)
            if value is not None:
                found[name] = value
    return found


def write(descriptor: int, attributes: Mapping[str, bytes]) -> None:
    """Set attributes; others stay."""
    path = paths.name_of(descriptor)
    for name, value in attributes.items():
        os.setxattr(path, name, value)


def _value(path: str, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):  # gone meanwhile, or listed and not to be had
            return None
        raise
