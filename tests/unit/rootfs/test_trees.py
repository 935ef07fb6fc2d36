# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees that are made to have us remember much: thousands of names in a directory whose path is long."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import trees
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing import dedupe
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing.keep import Keep

_WIDTH = 5000
_LEVELS = 15
_LEVEL = "x" * 250
_PATH = len(_LEVEL) * _LEVELS
"""Bytes of the path in which all the names are."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The tree: directories and files in one that is far down."""
    deepest = tmp_path / "/".join([_LEVEL] * _LEVELS)
    deepest.mkdir(parents=True)
    here = os.open(deepest, os.O_RDONLY)
    with paths.opened(here):
        for number in range(_WIDTH):
            os.mkdir(f"d{number}", dir_fd=here)
            with paths.opened(os.open(f"f{number}", os.O_WRONLY | os.O_CREAT, dir_fd=here)) as file:
                os.write(file, b"x" * (number + 1))
    return tmp_path


def _peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_walk_remembers_no_paths(place: Path) -> None:
    """It sees everything, and takes a fraction of what the paths of the directories take, which is the control."""
    root = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    with paths.opened(root):
        seen = 0

        def walk() -> None:
            nonlocal seen
            for _found in trees.walk(root):
                seen += 1

        taken = _peak(walk)
    assert seen == 2 * _WIDTH + _LEVELS
    assert taken < _WIDTH * _PATH / 5


def test_what_shares_is_bounded_in_the_length_of_its_names_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of files with such paths fewer are kept in mind. (The control: with room for all of them, all are.)"""
    keep = Keep(frozenset(), frozenset())

    def add() -> None:
        with dedupe.Pool() as pool:
            pool.add(str(place), keep)

    all_of_them = _peak(add)
    monkeypatch.setattr(dedupe, "_MOST_NAMES", 10 * _PATH)
    assert all_of_them > _WIDTH * _PATH
    assert _peak(add) < _WIDTH * _PATH / 5
