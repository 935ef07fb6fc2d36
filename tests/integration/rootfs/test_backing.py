# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a jail writes to: overlays and copies, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage, templates
from ansible_collections.cellblock.jails.tests.integration.support.layer import (
    SKELETON,
    description,
    dot_names,
    never,
    stored,
    writable,
)
from ansible_collections.cellblock.jails.tests.integration.support.processes import kill_at_random, wait_for_no_children
from ansible_collections.cellblock.jails.tests.integration.support.trees import facts, odd_files


def test_a_copy_loses_nothing() -> None:
    key = templates.ensure(SKELETON, never)
    tree = Path(templates.tree(key))
    odd_files(tree)
    storage.create("one", "directory", key)
    found = stored("one")
    assert (found.kind, found.template, found.lower) == ("directory", key, None)
    assert facts(writable("one")) == facts(tree)
    assert os.lstat(f"{writable('one')}/odd/sparse").st_blocks * 512 < 1 << 20
    (writable("one") / "odd/one").write_bytes(b"changed")
    assert (tree / "odd/one").read_bytes() == b"linked"
    assert storage.bytes_used("one") >= description(key)["bytes"]


def test_an_overlay_begins_empty_and_looks_like_the_template() -> None:
    key = templates.ensure(SKELETON, never)
    odd_files(Path(templates.tree(key)))
    storage.create("one", "overlay", key)
    found = stored("one")
    assert (found.kind, found.lower) == ("overlay", templates.tree(key))
    upper, tree = os.stat(writable("one")), os.stat(templates.tree(key))
    assert (upper.st_mode, upper.st_uid, upper.st_gid) == (tree.st_mode, tree.st_uid, tree.st_gid)
    assert os.listdir(writable("one")) == os.listdir(f"{found.folder}/work") == []
    assert storage.names() == ["one"]
    before = storage.bytes_used("one")
    (writable("one") / "data").write_bytes(b"x" * (1 << 20))
    os.link(writable("one") / "data", writable("one") / "again")
    assert storage.bytes_used("one") - before == 1 << 20


def test_storage_that_cannot_be_made() -> None:
    key = templates.ensure(SKELETON, never)
    with pytest.raises(JailError, match="template nothing-00 is not there"):
        storage.create("one", "overlay", "nothing-00")
    storage.create("one", "overlay", key)
    with pytest.raises(JailError, match=r"there is storage in .*/one already"):
        storage.create("one", "directory", key)
    assert stored("one").kind == "overlay"
    assert storage.describe("two") is None
    assert storage.bytes_used("two") == 0
    storage.remove("two")


def test_a_killed_copy_leaves_nothing_that_counts() -> None:
    key = templates.ensure(SKELETON, never)
    for number in range(3000):
        folder = Path(templates.tree(key)) / f"opt/{number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / str(number)).write_bytes(b"x" * 20000)
    expected = facts(templates.tree(key))
    hits = 0
    for _time in range(15):
        hits += kill_at_random(lambda: storage.create("one", "directory", key), 0.25)
        if storage.describe("one"):
            assert facts(writable("one")) == expected
            storage.remove("one")
    assert hits
    wait_for_no_children()
    storage.create("one", "directory", key)
    assert facts(writable("one")) == expected
    assert dot_names(layout.STORAGE) == []


def test_a_killed_removal_is_finished_by_the_next() -> None:
    key = templates.ensure(SKELETON, never)
    for _time in range(10):
        storage.create("one", "directory", key)
        kill_at_random(lambda: storage.remove("one"), 0.02)
        wait_for_no_children()
        assert storage.describe("one") is None or facts(writable("one")) == facts(templates.tree(key))
        storage.remove("one")
        assert os.listdir(layout.STORAGE) == []
