# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The move of an overlay is killed, or the disk is full."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import records, storage
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing import rebase
from ansible_collections.cellblock.jails.tests.integration.support import overlays, tracing
from ansible_collections.cellblock.jails.tests.integration.support.upgrades import (
    NEW,
    OLD,
    left_over,
    moved,
    put,
    two_templates,
    upper,
)

pytestmark = pytest.mark.usefixtures("cleared")

LibOn = Callable[..., str]


def test_killed_at_every_step(name: str) -> None:
    """At each system call that changes anything: the jail sees what it saw, over the template that is recorded; what is
    left is cleared before its next start, so that no file has a name too many; and the next call does the rest."""
    tracing.needs_strace()

    def old(tree: Path) -> None:
        put(tree, "usr/lib/one", b"old")
        put(tree, "usr/lib/gone")
        put(tree, "opt/x")

    def new(tree: Path) -> None:
        put(tree, "usr/lib/one", b"new")
        put(tree, "usr/lib/more", b"more")
        put(tree, "opt/x")

    two_templates(old, new)

    def begin_again() -> None:
        storage.remove(name)
        storage.create(name, "overlay", OLD)
        os.mknod(upper(name) / "opt", stat.S_IFCHR, 0)
        put(upper(name), "usr/lib/one", b"new")
        put(upper(name), "root/own", b"own")

    def move() -> None:
        with rebase.lowers_of(name, NEW) as pair:
            rebase.move(name, NEW, pair)

    begin_again()
    before = overlays.view(name)
    hits, found = 0, set()
    for number, step in tracing.killed_at_each_step(move):
        if number:
            hits += 1
            record = records.read(name)
            assert record is not None
            found.add(record.template)
            assert overlays.view(name) == before, f"killed at step {number}, {step}"
            storage.settle(name)
            assert records.read(name) == record
            assert not [each for each in os.listxattr(upper(name)) if each.startswith("trusted.jails")]
            assert (upper(name) / "root/own").stat().st_nlink == 1, f"killed at step {number}, {step}"
            assert left_over(name) == []
            assert overlays.view(name) == before
            moved(name)
            assert overlays.view(name) == before
        begin_again()
    assert hits > 20
    assert found == {OLD, NEW}


def test_a_full_disk_leaves_it_as_it_was(name: str, lib_on: LibOn) -> None:
    """No room for what has to be copied: an error that says so, and nothing half made."""

    def old(tree: Path) -> None:
        put(tree, "usr/large", os.urandom(12 << 20))

    lib_on("ext4", 24)
    two_templates(old, lambda tree: put(tree, "usr/small"))
    storage.create(name, "overlay", OLD)
    before = overlays.view(name)
    with rebase.lowers_of(name, NEW) as pair, pytest.raises(JailError, match="No space left"):
        rebase.move(name, NEW, pair)
    assert left_over(name) == []
    assert overlays.view(name) == before
