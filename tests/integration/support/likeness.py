# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of jails, in a form that two of them can be compared by: everything that a jail could tell them apart by."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts, paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.storage import Storage


@contextlib.contextmanager
def seen(stored: Storage) -> Iterator[str]:
    """A jail's tree as the host may look at it, for a ``with`` block, whatever its storage; read-only where it has
    layers."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory())
        found = stack.enter_context(stored.layers())
        mounted = {"tree": found.upper} if found.lower is None else {"upper": found.upper, "lower": found.lower}
        for name, mount in mounted.items():
            _attach(stack, mount, os.path.join(place, name))
        if found.lower is not None:
            tree = mounts.create("overlay", {"lowerdir": f"{place}/upper/upper:{place}/lower", "userxattr": None})
            stack.enter_context(paths.opened(tree))
            _attach(stack, tree, os.path.join(place, "tree"))
        yield os.path.join(place, "tree")


def _attach(stack: contextlib.ExitStack, mount: int, path: str) -> None:
    os.mkdir(path)
    with paths.opened(paths.open_directory(path)) as directory:
        mounts.attach(mount, directory)
    stack.callback(subprocess.run, ["umount", "--lazy", path], check=True)


def described(root: str) -> dict[str, dict[str, Any]]:
    """Every path below a directory, and the directory itself (""): kind, mode, owner, time of last change, extended
    attributes (ACLs and capabilities are some), content, holes, and which other paths are the same file."""
    found = {"": _facts(f"{root}/.")}
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, root)] = _facts(path)
    groups: dict[tuple[int, int], list[str]] = {}
    for path, facts in found.items():
        groups.setdefault(facts.pop("inode"), []).append(path)
    for same in groups.values():
        if len(same) > 1:
            for path in same:
                found[path]["same as"] = sorted(same)
    return found


def _facts(path: str) -> dict[str, Any]:
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    facts: dict[str, Any] = {
        "mode": oct(status.st_mode),
        "owner": (status.st_uid, status.st_gid),
        "changed": status.st_mtime_ns,
        "device": status.st_rdev,
        "attributes": {
            name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)
        },
        "inode": (status.st_dev, status.st_ino),
    }
    if kind == stat.S_IFLNK:
        facts["content"] = os.readlink(path)
    elif kind == stat.S_IFREG:
        with open(path, "rb") as file:
            facts["size"] = status.st_size
            facts["data"] = _data(file.fileno(), status.st_size)
            facts["content"] = _digest(file.fileno(), facts["data"])
    return facts


def _data(descriptor: int, size: int) -> list[tuple[int, int]]:
    """Where a file has data, as (beginning, end)."""
    found, end = [], 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        found.append((start, end))
    return found


def _digest(descriptor: int, data: list[tuple[int, int]]) -> str:
    """Of what is not a hole."""
    digest = hashlib.sha256()
    for start, end in data:
        position = start
        while position < end:
            chunk = os.pread(descriptor, min(1 << 20, end - position), position)
            digest.update(chunk)
            position += len(chunk)
    return digest.hexdigest()
