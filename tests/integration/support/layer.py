# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rootfs layer has made, as its tests look at it."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, storage, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.builder import Job

SmallDisk = Callable[[str, int], None]
"""``make(directory, size)`` mounts a small file system on a directory; its size is in MiB."""

SKELETON = recipes.parse({"method": "skeleton", "binaries": ["busybox", "bash"]})


def never(tree: str, job: Job) -> int:
    """For builders that must do without running a program of the tree."""
    raise AssertionError(f"{job.command} must not run")


def stored(name: str) -> storage.Storage:
    """The storage of a jail that has some."""
    found = storage.describe(name)
    assert found is not None
    return found


def writable(name: str) -> Path:
    """The directory with the files of a jail's own."""
    found = stored(name).writable
    assert found is not None
    return Path(found)


@contextlib.contextmanager
def own_files(found: storage.Storage) -> Iterator[Path]:
    """The directory with the files that are a jail's own, for a ``with`` block, wherever they lie."""
    with found.own_files() as directory:
        yield Path(f"/proc/self/fd/{directory}")


def description(key: str) -> dict[str, Any]:
    """The description of a template that is there."""
    found = templates.describe(key)
    assert found is not None
    return found


def dot_names(directory: str) -> list[str]:
    """What is half made or half removed in a directory of ours."""
    return [name for name in os.listdir(directory) if name.startswith(".")] if os.path.isdir(directory) else []


def log_lines() -> list[str]:
    """The log of the builders; a line that is not whole yet does not count."""
    path = Path(layout.BUILD_LOG)
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []


def wait_for_line(pattern: str, seconds: float) -> None:
    """Wait until a line of the log begins like this."""
    deadline = time.monotonic() + seconds
    while not any(re.match(pattern, line) for line in log_lines()):
        assert time.monotonic() < deadline, f"no line {pattern}"
        time.sleep(0.1)
