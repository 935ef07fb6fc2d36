# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees whose links lead out of them, where the host cleans and removes."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import intree, storage, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods import debootstrap
from ansible_collections.cellblock.jails.tests.integration.support.layer import SKELETON, never, writable
from ansible_collections.cellblock.jails.tests.integration.support.trees import hostile_tree


def test_cleaning_a_hostile_tree_stays_in_it(host: Path, canary: Path) -> None:
    root = host / "tree"
    hostile_tree(root, canary)
    with paths.opened(paths.open_directory(str(root))) as descriptor:
        debootstrap._clean(descriptor)
        with pytest.raises(OSError, match="apt"):  # the link leads nowhere inside
            paths.write_file(descriptor, "etc/apt/sources.list", b"deb")
    for name in ("proc", "sys", "dev", "run"):
        assert stat.S_ISDIR(os.lstat(root / name).st_mode)
        assert os.listdir(root / name) == []
    assert sorted(os.listdir(root / "etc")) == ["apt", "machine-id", "ssh"]
    assert stat.S_ISREG(os.lstat(root / "etc/machine-id").st_mode)


def test_a_tree_whose_etc_is_a_link_out(host: Path, canary: Path) -> None:
    root = host / "tree"
    root.mkdir()
    os.symlink(canary, root / "etc")
    with paths.opened(paths.open_directory(str(root))) as descriptor:
        with pytest.raises(FileNotFoundError):
            intree.forget_identity(descriptor)
        intree.make_mount_points(descriptor)


def test_removing_follows_no_link(canary: Path) -> None:
    key = templates.ensure(SKELETON, never)
    hostile_tree(Path(templates.tree(key)) / "opt/hostile", canary)
    storage.create("one", "directory", key)
    storage.create("two", "overlay", key)
    hostile_tree(writable("two") / "hostile", canary)
    storage.bytes_used("one")
    storage.bytes_used("two")
    storage.remove("one")
    storage.remove("two")
    templates.remove(key)
    assert os.listdir(layout.STORAGE) == os.listdir(layout.TEMPLATES) == []


def test_removing_enters_no_mount(canary: Path) -> None:
    key = templates.ensure(SKELETON, never)
    storage.create("one", "directory", key)
    place = f"{writable('one')}/mnt"
    subprocess.run(["mount", "--bind", str(canary), place], check=True)
    try:
        with pytest.raises(JailError, match="one cannot be removed"):
            storage.remove("one")
        assert storage.describe("one") is None
    finally:
        subprocess.run(["umount", "-l", f"{layout.STORAGE}/.old-one/root/mnt"], check=True)
    storage.remove("one")
    assert os.listdir(layout.STORAGE) == []
