# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What overlayfs writes into an upper directory to say what is not there, or from where it came.

From the kernel's ``filesystems/overlayfs``, for mounts with ``userxattr``: a whiteout, a character device 0/0, hides
a name of the lower tree; ``user.overlay.opaque`` = "y" hides all names of a lower directory. An attribute
``user.overlay.X`` that a program sets inside comes as ``user.overlay.overlay.X`` and is as good as any other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from ...errors import JailError

OPAQUE = {"user.overlay.opaque": b"y"}

_PRIVATE, _ESCAPED = "user.overlay.", "user.overlay.overlay."
# These tell where a copy came from. What is seen through the overlay does not depend on them.
_HISTORY = {f"{_PRIVATE}{name}" for name in ("origin", "impure", "nlink", "upper", "uuid")}
# "protattr" keeps inode flags and is seen by lsattr(1). "whiteout" hides a name, on kernels that know it, which only
# tools write; it is left where it is, and does the same there.
_SEEN = {f"{_PRIVATE}protattr", f"{_PRIVATE}whiteout"}


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this hides a name of the lower tree."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(attributes: Mapping[str, bytes]) -> bool:
    """Whether a directory of the upper one hides what lies beneath."""
    return attributes.get(f"{_PRIVATE}opaque") == b"y"


def seen(attributes: Mapping[str, bytes], path: str) -> dict[str, bytes]:
    """Of the attributes of something in an upper directory, those that what is seen through the overlay depends on.

    :raises JailError: for a mark that means content elsewhere (``redirect``, ``metacopy``), or that is not known here.
        Mounts of ours neither write nor follow such marks.
    """
    found = {}
    for name, value in attributes.items():
        if not name.startswith(_PRIVATE) or name.startswith(_ESCAPED) or name in _SEEN:
            found[name] = value
        elif name not in _HISTORY and name not in OPAQUE:
            raise JailError(f"/{path} has the mark {name!r}, which this overlay cannot have written")
    return found


def history(attributes: Mapping[str, bytes]) -> dict[str, bytes]:
    """Of the attributes of a directory of the upper one, those to keep when it is made anew over another lower one:
    ``impure``, which has readdir(3) give the inode numbers of stat(2) for the copies in it."""
    return {name: value for name, value in attributes.items() if name == f"{_PRIVATE}impure"}


def plain(attributes: Mapping[str, bytes], path: str) -> dict[str, bytes]:
    """The attributes of something in a template, which has no marks.

    :raises JailError: when it has.
    """
    for name in attributes:
        if name.startswith(_PRIVATE) and not name.startswith(_ESCAPED):
            raise JailError(f"/{path} of the template has {name!r}, a mark of overlayfs")
    return dict(attributes)
