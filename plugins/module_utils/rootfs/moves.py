# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An overlay on its way from one template to another.

The new upper directory is made beside the old one, under the name :data:`SPARE`, in the same directory of storage: so
it counts against the same limits, and the file system lets a file have a name in both. It is marked with both templates
(:func:`.records.mark_moved`), so the one renameat2(2) by which they change places says as well which template the jail
has from then on. Writing that into the note, and removing the old one, which has the name :data:`SPARE` by then, comes
after it. Killed anywhere, :func:`finish` does what is left of that, or forgets what was only begun.
"""

from __future__ import annotations

import os

from .. import layout
from ..kernel import paths
from . import records, staging

UPPER = "upper"
SPARE = ".new-upper"

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_under_way(name: str) -> bool:
    """Whether a move of a jail's overlay has begun and not come to its end."""
    return os.path.lexists(os.path.join(layout.storage(name), SPARE))


def switch(name: str) -> None:
    """Put the new upper directory, which is whole and marked, in the place of the old one. It is on disk by then."""
    folder = layout.storage(name)
    staging.sync_filesystem(folder)
    with paths.opened(os.open(folder, _DIRECTORY)) as store:
        paths.exchange(store, UPPER, SPARE)
        os.fsync(store)


def finish(name: str) -> None:
    """Bring a jail's storage to rest: the note names the template that it has, and there is one upper directory. The
    caller has the lock of its storage."""
    records.settle(name)
    with paths.opened(os.open(layout.storage(name), _DIRECTORY)) as store:
        paths.remove_tree(store, SPARE)
