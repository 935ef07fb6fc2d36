# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems of the tests' own, in files."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import staging

_OPTIONS = {"ext4": ["-m", "0"], "xfs": [], "btrfs": []}


@contextlib.contextmanager
def mounted(kind: str, mebibytes: int, options: tuple[str, ...] = ()) -> Iterator[None]:
    """Have a new file system in the place of our directory of storage and templates for a ``with`` block."""
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"mkfs.{kind} is not installed")
    os.makedirs(layout.LIB, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir="/var/tmp", prefix="jails-test-") as image:
        image.truncate(mebibytes << 20)
        subprocess.run([f"mkfs.{kind}", "-q", *_OPTIONS[kind], *options, image.name], check=True)
        subprocess.run(["mount", "-o", "loop", image.name, layout.LIB], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", layout.LIB], check=True)


def free_bytes() -> int:
    """What that file system says is free, when all is written."""
    staging.sync_filesystem(layout.LIB)
    facts = os.statvfs(layout.LIB)
    return facts.f_bfree * facts.f_frsize


def grows_to(free: int) -> bool:
    """Whether so many bytes are free, or will be when the file system has come to it: xfs and btrfs take what was
    removed apart later."""
    deadline = time.monotonic() + 30
    while free_bytes() < free:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
