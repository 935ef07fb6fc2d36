# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jail's side of its mounts: put into its tree by a process that is its root, in its mount namespace.

Mount points are looked up in-root and without following links, and made where they are missing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence

from ...kernel import mounts, paths
from ...kernel.mounts import NODEV, NOEXEC, NOSUID
from ...rootfs import layers
from .words import OVERLAY, TMPFS, Volume, attributes


def put(root: int, volume: Volume, parts: Sequence[int], staging: int) -> None:
    """Mount one volume on its target below ``root``.

    :param parts: the mounts that the host gave for it.
    :param staging: a directory of this mount namespace over which the layers of an overlay can be mounted.
    """
    if volume["type"] == TMPFS:
        options = {"mode": volume["mode"], "size": str(volume["size"])}
        mount = mounts.create("tmpfs", options, attributes(volume))
    elif volume["type"] == OVERLAY:
        mount = overlay(volume, parts, staging)
    else:
        mount = parts[0]
    attach(root, volume, mount)


def attach(root: int, volume: Volume, mount: int) -> None:
    """Put a detached mount on the target of a volume."""
    is_directory = stat.S_ISDIR(os.fstat(mount).st_mode)
    with _explained(volume["target"]), paths.opened(_target(root, volume["target"], is_directory)) as target:
        mounts.attach(mount, target)


def take_off(root: int, volume: Volume) -> None:
    """Unmount one volume.

    :raises OSError: ``EBUSY`` while a process uses it.
    """
    folder, name = os.path.split(volume["target"])
    with paths.opened(paths.open_plain(root, folder, os.O_PATH | os.O_DIRECTORY)) as directory:
        mounts.detach(directory, name)


def overlay(volume: Volume, parts: Sequence[int], staging: int) -> int:
    """An overlay of the parts. Overlayfs before Linux 6.13 takes its layers by name only, from the mounter's own mount
    namespace, and shows the names; relative ones tell nothing."""
    place = mounts.create("tmpfs", {"mode": "0700", "size": "64k"}, NOSUID | NODEV | NOEXEC)
    mounts.attach(place, staging)
    names = []
    for number, part in enumerate(parts):
        names.append(str(number))
        os.mkdir(names[-1], dir_fd=place)
        mounts.attach(part, place, names[-1])
    options: dict[str, str | None] = {"userxattr": None}
    with contextlib.ExitStack() as stack:
        if volume["upper"]:
            # Looked at, and then taken by name all the same: a running jail's /proc, by which descriptors have names,
            # is nothing to trust. The directory that both are in is the host's.
            stack.enter_context(layers.writable_parts(parts[0]))
            upper = names.pop(0)
            options.update(upperdir=f"{upper}/upper", workdir=f"{upper}/work")
        options["lowerdir"] = ":".join(names)
        os.fchdir(place)
        return mounts.create("overlay", options, attributes(volume))


@contextlib.contextmanager
def _explained(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = error.strerror
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            text = "it, or what is above it, is a symbolic link or a file"
        raise OSError(error.errno, f"{target} cannot be mounted on: {text}") from error


def _target(root: int, target: str, is_directory: bool) -> int:
    """A descriptor of the mount point, made with all directories above it where it is missing."""
    parts = target.strip("/").split("/")
    for number in range(1, len(parts)):
        os.close(paths.make_directory(root, "/" + "/".join(parts[:number])))
    if is_directory:
        return paths.make_directory(root, target)
    with contextlib.suppress(FileExistsError):
        os.close(paths.open_plain(root, target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))
    return paths.open_plain(root, target, os.O_PATH)
