# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take everything of ours off a host that has no jails any more."""

from __future__ import annotations

import errno
import os

from .. import layout
from ..errors import JailError
from ..kernel import paths
from ..rootfs import bounds, storage, templates
from . import build, info, live


def purge() -> None:
    """Remove templates, caches, logs, the runtime and all directories of ours.

    :raises JailError: while there is a jail.
    """
    left = info.names()
    if left:
        raise JailError(f"there are jails: {', '.join(left)}", advice="remove them first: jail_state state=absent")
    build.sweep()
    templates.sweep()
    storage.sweep()
    for key in templates.names():
        templates.remove(key)
    bounds.restore_host()
    live.hierarchies().group(layout.CGROUP_PARENT, "").remove_parent()
    for path in (layout.LIB, layout.ETC, layout.LOG, layout.RUN, layout.COMMAND, layout.RUNTIME):
        _remove(path)


def _remove(path: str) -> None:
    """Remove a file or directory of ours; of a directory that is a mount point, what is in it."""
    parent, name = os.path.split(path)
    if not os.path.lexists(path):
        return
    try:
        with paths.opened(paths.open_directory(parent)) as folder:
            paths.remove_tree(folder, name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with paths.opened(paths.open_directory(path)) as folder:
            for entry in os.listdir(path):
                paths.remove_tree(folder, entry)
