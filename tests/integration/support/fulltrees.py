# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails whose storage is a full copy, and that hold equal files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import extents
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.tests.integration.support import evidence, overlays

Names = Callable[[int], list[str]]
LibOn = Callable[..., str]

Disk = str

KEY = "test-full"
FILES, BYTES = 12, 1_000_000


def fill(tree: Path, seed: int = 0) -> None:
    """Files of random bytes, the same for every call with this seed."""
    for number in range(FILES):
        place = tree / "usr/lib" / str(number)
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        place.write_bytes(content_of(number, seed))


def content_of(number: int, seed: int = 0) -> bytes:
    """What is in one of them."""
    block = bytes((number * 7 + seed * 13 + each) % 256 for each in range(4096))
    return (block * (BYTES // 4096 + 1))[:BYTES]


def tree_of(name: str) -> Path:
    """A jail's full tree."""
    stored = storage.describe(name)
    assert stored is not None
    assert stored.writable is not None
    return Path(stored.writable)


def make_jails(given: list[str], seed: int = 1) -> None:
    """Full copies of a template, which were then upgraded one by one."""
    overlays.make_template(KEY, lambda tree: fill(Path(tree)), "2026-01-01T00:00:00+00:00")
    for name in given:
        storage.create(name, "directory", KEY)
        fill(tree_of(name), seed)


def shares(one: Path, other: Path) -> bool:
    """Whether two files lie in the same place."""
    with open(one, "rb") as left, open(other, "rb") as right:
        known = [extents.of(file.fileno()) for file in (left, right)]
    assert all(known)
    return extents.places(known[0] or []) == extents.places(known[1] or [])


def facts(name: str) -> dict[str, tuple[object, ...]]:
    """All of a tree, by the path in it."""
    top = str(tree_of(name))
    return {path[len(top) :]: each for path, each in evidence.files(top).items()}
