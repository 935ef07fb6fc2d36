# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at every step of a snapshot, a rollback, a clone, an export and an import: a jail is as it was or as it is to
be, the next run comes to its end, and nothing leaks."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import (
    adopt,
    exports,
    imports,
    limits,
    rootfs,
    snapshot,
    state,
    store,
)
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import snapshots, storage
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.exports import exportfile
from ansible_collections.cellblock.jails.tests.integration.support import faults
from ansible_collections.cellblock.jails.tests.integration.support.faults import converged
from ansible_collections.cellblock.jails.tests.integration.support.layer import own_files, stored

SMALL: dict[str, Any] = {"method": "skeleton", "binaries": ["true"]}


@pytest.fixture(autouse=True)
def orphans() -> Iterator[None]:
    """For every test here."""
    with faults.orphans_are_ours():
        yield


@pytest.fixture
def box(name: str, storage_kind: str) -> str:
    """A jail that does not run, with a file of its own and a limit."""
    size = {"size": "32M"} if storage_kind == "image" else {}
    converged(rootfs.FACET, name, **SMALL, storage=storage_kind, **size)
    write(name, "one")
    return name


def write(name: str, text: str) -> None:
    """Change the jail: its file, and its limit."""
    with own_files(stored(name)) as top:
        (top / "file").write_text(text)
    converged(limits.FACET, name, memory_max={"one": "64M", "two": "128M"}[text])


def text_of(found: storage.Storage) -> str:
    """What is in the file."""
    with own_files(found) as top:
        return (top / "file").read_text()


def content(name: str) -> tuple[str, int]:
    """What the jail is: the file, and the limit that it would be started with."""
    adopt.settle(name)
    return text_of(stored(name)), store.read(name, "limits")["memory_max"] >> 20


def test_taking_and_removing_a_snapshot(box: str) -> None:
    """It is there whole or not at all."""

    def take() -> None:
        converged(snapshot.FACET, box, snapshot="one")

    def remove() -> None:
        converged(snapshot.FACET, box, snapshot="one", state="absent")

    def is_whole() -> bool:
        found = snapshots.describe(box, "one")
        if found is None:
            return False
        assert text_of(found.storage) == "one"
        return True

    def finish() -> None:
        is_whole()
        take()
        assert is_whole()
        remove()
        assert not is_whole()

    faults.survives_every_kill(take, finish)
    take()

    def finish_removal() -> None:
        is_whole()
        remove()
        assert not os.path.exists(layout.snapshots(box))
        take()

    faults.survives_every_kill(remove, finish_removal)


def test_going_back(box: str) -> None:
    """The tree and the limit are those of the snapshot or those of the day, and never one of each."""
    converged(snapshot.FACET, box, snapshot="one")
    write(box, "two")

    def roll_back() -> None:
        converged(snapshot.FACET, box, snapshot="one", state="rolled_back")

    def finish() -> None:
        assert content(box) in {("one", 64), ("two", 128)}
        roll_back()
        assert content(box) == ("one", 64)
        write(box, "two")

    faults.survives_every_kill(roll_back, finish)


@pytest.mark.parametrize("storage_kind", ["overlay"], indirect=True)
def test_giving_a_tree_back_that_was_removed(box: str) -> None:
    """The same for a jail without a root file system."""
    converged(snapshot.FACET, box, snapshot="one")
    converged(rootfs.FACET, box, state="absent")

    def roll_back() -> None:
        converged(snapshot.FACET, box, snapshot="one", state="rolled_back")

    def finish() -> None:
        roll_back()
        assert content(box) == ("one", 64)
        assert store.read(box, "rootfs")["method"] == "skeleton"
        converged(rootfs.FACET, box, state="absent")

    faults.survives_every_kill(roll_back, finish)


def test_cloning(box: str) -> None:
    """A clone is there with its limits and the order for an identity of its own, or not at all."""
    name = f"{box}-c"

    def clone() -> None:
        converged(rootfs.FACET, name, method="clone", source=box)

    def finish() -> None:
        if storage.describe(name) is not None:
            assert content(name) == ("one", 64)
        clone()
        assert content(name) == ("one", 64)
        assert store.read(name, "rootfs")["source"] == box
        assert os.path.exists(os.path.join(layout.desired(name), "renewal"))
        converged(state.FACET, name, state="absent")

    faults.survives_every_kill(clone, finish)
    assert content(box) == ("one", 64)


@pytest.mark.parametrize("storage_kind", ["overlay"], indirect=True)
def test_exporting(box: str, tmp_path: Path) -> None:
    """The file is there whole or not at all, and what is half written goes with the next run."""
    path = tmp_path / "jail.tar"
    wish: dict[str, Any] = {"dest": str(path), "compression": "gzip"}

    def export() -> None:
        converged(exports.FACET, box, **wish)

    def finish() -> None:
        export()
        assert os.listdir(tmp_path) == ["jail.tar"]
        assert exportfile.trailer(hashlib.sha256(plain()[:-512]).hexdigest()) == plain()[-512:]
        path.unlink()

    def plain() -> bytes:
        return gzip.decompress(path.read_bytes())

    faults.survives_every_kill(export, finish, faults.SLOW)


@pytest.mark.parametrize("storage_kind", ["overlay", "btrfs"], indirect=True)
def test_importing(box: str, tmp_path: Path) -> None:
    """The jail is there with its desired state, or not at all."""
    path, name = str(tmp_path / "jail.tar"), f"{box}-i"
    kind = "btrfs" if stored(box).kind == "btrfs" else "directory"
    converged(exports.FACET, box, dest=path, compression="gzip")

    def read() -> None:
        converged(imports.FACET, name, src=path, trusted=True, storage=kind)

    def finish() -> None:
        if storage.describe(name) is not None:
            assert content(name) == ("one", 64)
        read()
        assert content(name) == ("one", 64)
        assert stored(name).kind == kind
        converged(state.FACET, name, state="absent")
        assert name not in json.loads(Path(layout.IDS).read_text())

    faults.survives_every_kill(read, finish, faults.SLOW)
