# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: directories of ours that are subvolumes where the file system has such, so that their size can be limited,
they can be cloned, and all of one is removed in one go."""

from __future__ import annotations

import os

from ..kernel import btrfs, paths
from . import projects

_PLAIN = paths.RESOLVE_NO_SYMLINKS | paths.RESOLVE_NO_XDEV | paths.RESOLVE_BENEATH


def make(parent: int, name: str, mode: int = 0o700) -> None:
    """Make an empty volume with exactly this mode.

    :param parent: a descriptor of its parent, opened for reading.
    """
    if btrfs.holds(parent):
        btrfs.create(parent, name)
        os.chmod(name, mode, dir_fd=parent)
    else:
        make_plain(parent, name, mode)


def make_plain(parent: int, name: str, mode: int = 0o700) -> None:
    """Make an empty directory with exactly this mode, where nothing has to be counted or cloned."""
    os.mkdir(name, 0o700, dir_fd=parent)
    os.chmod(name, mode, dir_fd=parent)


def make_successor(parent: int, name: str, model: str) -> None:
    """Make the directory that is to take the place of ``model``: empty, but where that is a subvolume a snapshot of it
    with all that is in it, for no file can get another name in another subvolume."""
    with paths.opened(paths.openat2(parent, model, os.O_RDONLY | os.O_DIRECTORY, _PLAIN)) as directory:
        if btrfs.is_subvolume(directory):
            btrfs.snapshot(directory, parent, name)
        else:
            make_plain(parent, name)


def remove(parent: int, name: str) -> None:
    """Remove a directory, with all below it and the limits on it; none is fine."""
    directory = _open_plain(parent, name)
    if directory is not None:
        with paths.opened(directory):
            projects.forget(directory)
    paths.remove_tree(parent, name)


def _open_plain(parent: int, name: str) -> int | None:
    """A descriptor of what is a directory and no mount point; ``None`` for anything else."""
    try:
        return paths.openat2(parent, name, os.O_RDONLY | os.O_DIRECTORY, _PLAIN)
    except OSError:
        return None
