# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of whole trees on the host, that share blocks where the file system can (ioctl_ficlonerange(2))."""

from __future__ import annotations

from . import buildlog, hosttools, staging

_ADVICE = "cp has to be that of GNU coreutils, and no path in the tree may be much longer than 4,000 bytes"


def copy(source: str, target: str, label: str) -> None:
    """Copy a directory that nobody changes meanwhile, with all that belongs to its files: owners, times, links, holes,
    ACLs, extended attributes (those of an overlay's upper directory among them). No link is followed and no mount is
    entered. All of it is on disk at the end.

    :param target: is not there yet.
    :param label: of the lines in the build log.
    :raises JailError: when not everything could be copied. What has a longer path than the kernel takes cannot.
    """
    program = hosttools.find("cp", "coreutils")
    with buildlog.recording(label) as log:
        options = ["-a", "--reflink=auto", "--one-file-system"]
        status = hosttools.run([program, *options, "--", source, target], log.descriptor)
        if status:
            raise log.failure(f"cp ended with status {status}", _ADVICE)
    staging.sync_filesystem(target)
