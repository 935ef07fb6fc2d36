# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails with limits of their disk, and the file systems that can hold them to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import projects, storage
from ansible_collections.cellblock.jails.tests.integration.support.calls import jail, module

SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}
SLEEP: dict[str, Any] = {"command": ["sleep", "100000"], "state": "started"}
LIMITED = [
    *(("btrfs", kind) for kind in ("overlay", "directory", "btrfs", "image")),
    *(("ext4-prjquota", kind) for kind in ("overlay", "directory")),
    *(("xfs-prjquota", kind) for kind in ("overlay", "directory")),
    *((filesystem, "image") for filesystem in ("ext4", "xfs")),
]

QUOTAS = [place for place in LIMITED if place[1] != "image"]
PROJECTS = [place for place in LIMITED if place[0].endswith("prjquota")]
MIB = 1 << 20
LibOn = Callable[..., str]
Names = Callable[[int], list[str]]


def make(name: str, kind: str, **more: Any) -> None:
    """Make and start a jail."""
    module("jail_rootfs", name=name, storage=kind, **SKELETON, **more)
    module("jail_state", name=[name], **SLEEP)


def write(name: str, mib: int, path: str = "/srv/file") -> bool:
    """Have a jail write a file; whether all of it was taken."""
    done = jail("exec", name, "--", "dd", "if=/dev/urandom", f"of={path}", "bs=1M", f"count={mib}", "conv=fsync")
    if done.returncode:
        assert b"No space left" in done.stderr or b"quota exceeded" in done.stderr, done.stderr
    return not done.returncode


def disk(name: str) -> dict[str, Any]:
    """What ``jail_info`` says of its disk, with all that was written counted."""
    subprocess.run(["sync", "-f", layout.LIB], check=True)
    found = module("jail_info", name=[name], gather=["disk", "rootfs", "size"])["jails"][name]
    assert found["size"] == found["disk"]["bytes"] or found["disk"]["bytes"] is None
    return {**found["disk"], "size": found["rootfs"].get("size"), "inodes_option": found["rootfs"].get("inodes")}


def volume(name: str) -> str:
    """The directory of a jail that its file system limits."""
    stored = storage.describe(name)
    assert stored is not None
    return os.path.join(stored.folder, "root") if stored.kind == "btrfs" else stored.folder


def all_of(directory: str) -> Iterator[int]:
    """Descriptors of all files and directories in a directory, and of itself at the end."""
    with paths.opened(os.open(directory, os.O_RDONLY)) as top:
        yield from projects._below(top)
        yield top
