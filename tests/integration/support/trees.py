# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees with everything that a copy can lose, or that leads out of them; and what is in a tree."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths


def odd_files(root: Path) -> None:
    """A tree with everything that a copy can lose."""
    os.chown(root, 0, 7)
    os.chmod(root, 0o1775)
    os.makedirs(root / "odd")
    (root / "odd/one").write_bytes(b"linked")
    os.link(root / "odd/one", root / "odd/two")
    os.symlink("/etc/shadow", root / "odd/link")
    os.mkfifo(root / "odd/fifo")
    with socket.socket(socket.AF_UNIX) as unix, paths.opened(paths.open_directory(str(root))) as directory:
        unix.bind(f"/proc/self/fd/{directory}/odd/socket")  # a socket's path is at most 108 characters long
    with open(root / "odd/sparse", "wb") as file:
        file.truncate(64 << 20)
        file.write(b"x")
    (root / "odd/owned").write_bytes(b"")
    os.chown(root / "odd/owned", 1000, 65535)
    os.chmod(root / "odd/owned", 0o6755)
    os.setxattr(root / "odd/owned", "user.note", b"kept")
    os.setxattr(root / "odd/one", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    # An access ACL (acl(5)): version 2; user::rw-, user:1234:r--, group::r--, mask::r--, other::---
    entries = [(1, 6, 0xFFFFFFFF), (2, 4, 1234), (4, 4, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)]
    acl = b"\2\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, bits, who in entries
    )
    os.setxattr(root / "odd/two", "system.posix_acl_access", acl)
    os.utime(root / "odd/one", ns=(10**18, 10**18))


def facts(root: str | Path) -> dict[str, Any]:
    """All that there is to say of every file below ``root``, by its path."""
    found: dict[str, Any] = {}
    inodes: dict[int, str] = {}
    for folder, directories, plain in os.walk(root):
        for name in [".", *directories, *plain]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            xattrs = {
                key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)
            }
            first = inodes.setdefault(status.st_ino, os.path.relpath(path, root)) if status.st_nlink > 1 else None
            found[os.path.relpath(path, root)] = (
                *(status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns),
                *(os.readlink(path) if os.path.islink(path) else None, xattrs),
                *((status.st_size, first) if not stat.S_ISDIR(status.st_mode) else ()),
            )
    return found


def hostile_tree(root: Path, canary: Path) -> None:
    """A tree whose links lead to ``canary`` wherever the host looks."""
    root.mkdir(parents=True)
    up = "/".join([".."] * 20)
    for name in ("proc", "sys", "run"):
        os.symlink(canary, root / name)
    os.mkfifo(root / "dev")
    for folder in ("etc", "var/lib/dbus", "var/lib/systemd", "var/cache/apt"):
        (root / folder).mkdir(parents=True)
    os.symlink(f"{up}{canary}/hostname", root / "etc/hostname")
    os.mkfifo(root / "etc/resolv.conf")
    os.symlink(canary / "machine-id", root / "etc/machine-id")
    os.symlink(canary / "ssh", root / "etc/ssh")
    os.symlink(f"{up}{canary}/apt", root / "etc/apt")
    os.symlink(canary / "archives", root / "var/cache/apt/archives")
    os.symlink("/proc/self/root", root / "var/lib/apt")
    os.symlink(canary, root / "tmp")
    os.symlink("/proc/self/cwd", root / "debootstrap")


def owners_on_disk(root: Path) -> set[int]:
    """The users and groups that anything below ``root`` belongs to."""
    return {
        number
        for folder, directories, plain in os.walk(root)
        for name in [*directories, *plain]
        for status in [os.lstat(os.path.join(folder, name))]
        for number in (status.st_uid, status.st_gid)
    }
