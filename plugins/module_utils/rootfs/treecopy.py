# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of trees, by the host's cp(1), which gets to see nothing of the host but the tree.

A jail that does not run does not change its tree, but a neighbour may: by a descriptor of a directory that was passed
to it through a socket in a directory that both are given. What cp finds a directory may be a link the next moment, and
cp follows that.
"""

from __future__ import annotations

import os

from ..kernel import mounts, paths
from ..kernel.mounts import NODEV, NOEXEC, NOSUID, RDONLY
from . import buildlog, hosttools, layers, staging, toolbox
from .toolbox import Toolbox

_ADVICE = "cp has to be that of GNU coreutils, and no path in the tree may be much longer than 4,000 bytes"
_TOOLS = Toolbox({"cp": "coreutils"})
_SOURCE, _TARGET = "/source", "/target"
_OPTIONS = ("-a", "--reflink=auto", "--one-file-system")


def copy(source: str, target: str, label: str) -> None:
    """Copy a directory that nobody changes meanwhile, with all that belongs to its files: owners, times, links, holes,
    ACLs, extended attributes (those of an overlay's upper directory among them). No link is followed and no mount is
    entered. All of it is on disk at the end.

    :param target: is not there yet.
    :param label: of the lines in the build log.
    :raises JailError: when not everything could be copied. What has a longer path than the kernel takes cannot.
    """
    folder, name = os.path.split(target)
    command = toolbox.command("cp", *_OPTIONS, "--", _SOURCE, f"{_TARGET}/{name}")
    with (
        toolbox.packed(_TOOLS) as tools,
        paths.opened(layers.bind(source)) as old,
        paths.opened(layers.bind(folder)) as new,
        buildlog.recording(label) as log,
    ):
        mounts.set_attributes(old, RDONLY | NOSUID | NODEV | NOEXEC)
        status = hosttools.run(command, log.descriptor, {toolbox.PLACE: tools, _SOURCE: old, _TARGET: new})
        if status:
            raise log.failure(f"cp ended with status {status}", _ADVICE)
    staging.sync_filesystem(target)
