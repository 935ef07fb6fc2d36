# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kind ``directory``: a full copy of the template's tree in ``root``; it shares blocks where the file system can."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from .. import bounds, buildlog, hosttools, layers, staging, volumes
from ..bounds import Bounds
from ..layers import Layers
from .store import BackingStore


def _make(folder: str, tree: str, name: str, wanted: Bounds) -> None:
    copy = hosttools.find("cp", "coreutils")
    with buildlog.recording(name) as log:
        command = [copy, "-a", "--reflink=auto", "--one-file-system", "--", tree, root(folder)]
        status = hosttools.run(command, log.descriptor)
        if status:
            raise log.failure(f"cp ended with status {status}", "cp has to be that of GNU coreutils")
    staging.sync_filesystem(folder)
    bounds.bind_new(folder, wanted)


def root(folder: str) -> str:
    """The directory of the tree."""
    return os.path.join(folder, "root")


def _layers(folder: str, _tree: str) -> AbstractContextManager[Layers]:
    return layers.of_directories(root(folder), None)


_KEEPER = bounds.keeper(lambda folder: folder)
STORE = BackingStore(volumes.make, _make, _layers, root, needs_template=False, keeper=_KEEPER)
