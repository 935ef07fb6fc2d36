# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the host that read what nobody has verified: run without a right of root, and without knowing it.

They are the kernel's overflow user (user_namespaces(7)), which owns no file, and see themselves as root of a user
namespace in which there is no other user. What they may write to is one directory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ... import files, layout
from .. import hosttools

PLACE = layout.RUN
"""Where such a program finds its directory; those above the real one nobody but root can enter."""

_NOBODY = 65534
# Mounts of a program of `hosttools` are seen by nobody else, and end with it.
_ENTER = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'


def run(command: Sequence[str], folder: str, output: int) -> int:
    """Run a program as :func:`hosttools.run` does, but lowly, as the module says.

    :param command: paths below ``folder`` are named below :data:`PLACE`.
    :param folder: a directory of ours, of which the program becomes the owner, and of all that is in it.
    """
    for place, folders, names in os.walk(folder):
        for name in [".", *folders, *names]:
            os.chown(os.path.join(place, name), _NOBODY, _NOBODY, follow_symlinks=False)
    files.make_private_directory(PLACE)
    return hosttools.run([*_wrapper(folder), *command], output)


def _wrapper(folder: str) -> list[str]:
    user = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--no-new-privs"]
    return [
        *(hosttools.find("sh", "dash"), "-c", _ENTER, "sh", folder, PLACE),
        *(hosttools.find("setpriv", "util-linux"), *user, "--"),
        *(hosttools.find("unshare", "util-linux"), "--user", "--map-root-user", "--"),
    ]
