# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to a tree that is not ours to trust: programs of it have run, or its archive came from elsewhere.

Every path is resolved inside the tree by the kernel (``kernel/paths``): a link that points out of it does not.
``root`` is always a descriptor of the tree's root directory, and a path is relative to it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from ..kernel import paths

# Identity is a jail's own; what a template carried would be shared by all its clones.
_IDENTITY = (
    "etc/hostname",
    "etc/resolv.conf",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
)
# The launcher mounts on these, and refuses a symbolic link there.
_MOUNT_POINTS = {"proc": 0o555, "sys": 0o555, "dev": 0o755, "run": 0o755}


def make_directory(root: int, path: str, mode: int = 0o755) -> None:
    """Make a directory with exactly this mode; one that is there stays as it is.

    :raises OSError: ``ELOOP`` for a symbolic link on the way.
    """
    folder, name = os.path.split(path)
    parent = paths.open_plain(root, folder or "/", os.O_PATH | os.O_DIRECTORY)
    with paths.opened(parent), contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
        os.chmod(name, mode, dir_fd=parent)


def remove(root: int, path: str) -> None:
    """Remove what is at ``path``, if anything: a file, a link (not its target), or a directory and all below it."""
    folder, name = os.path.split(path)
    with _directory(root, folder or "/") as parent:
        if parent is not None:
            paths.remove_tree(parent, name)


def empty(root: int, path: str, beginning: str = "") -> None:
    """Remove the entries of the directory ``path`` whose names start with ``beginning``; no directory is fine."""
    with _directory(root, path) as directory:
        if directory is not None:
            for name in os.listdir(directory):
                if name.startswith(beginning):
                    paths.remove_tree(directory, name)


def make_mount_points(root: int) -> None:
    """Make ``/proc``, ``/sys``, ``/dev`` and ``/run`` empty directories, whatever stands there."""
    for name, mode in _MOUNT_POINTS.items():
        paths.remove_tree(root, name)
        make_directory(root, name, mode)


def forget_identity(root: int) -> None:
    """Remove host keys, host name, resolver, seeds; leave ``/etc/machine-id`` empty.

    Empty means that the first boot is still to come (machine-id(5), "First Boot Semantics").
    """
    for path in _IDENTITY:
        remove(root, path)
    empty(root, "etc/ssh", "ssh_host_")
    paths.write_file(root, "etc/machine-id", b"", 0o444)


@contextlib.contextmanager
def _directory(root: int, path: str) -> Iterator[int | None]:
    """A descriptor of a directory for a ``with`` block; ``None`` when ``path`` leads to none inside the tree."""
    try:
        descriptor = paths.open_in(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        yield None
        return
    with paths.opened(descriptor):
        yield descriptor
