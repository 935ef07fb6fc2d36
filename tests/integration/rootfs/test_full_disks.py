# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are full."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, storage, templates
from ansible_collections.cellblock.jails.tests.integration.support.layer import SKELETON, SmallDisk, never


def test_a_template_that_does_not_fit(small_disk: SmallDisk) -> None:
    small_disk(layout.TEMPLATES, 4)
    with pytest.raises(JailError) as caught:
        templates.ensure(SKELETON, never)
    message = str(caught.value)
    assert "No space left on device" in message
    assert f"the ext4 file system mounted on {layout.TEMPLATES} has 0 of" in message
    assert "free some space" in message
    assert os.listdir(layout.TEMPLATES) == ["lost+found"]
    assert templates.names() == []


def test_a_template_that_has_too_many_files() -> None:
    os.makedirs(layout.TEMPLATES)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=60", "none", layout.TEMPLATES], check=True)
    try:
        with pytest.raises(JailError, match=r"tmpfs file system .* and 0 of 60 inodes left"):
            templates.ensure(SKELETON, never)
        assert os.listdir(layout.TEMPLATES) == []
        subprocess.run(["mount", "-o", "remount,nr_inodes=10000", layout.TEMPLATES], check=True)
        assert templates.ensure(SKELETON, never) == recipes.key(SKELETON)
    finally:
        subprocess.run(["umount", layout.TEMPLATES], check=True)


def test_a_copy_that_does_not_fit(small_disk: SmallDisk) -> None:
    key = templates.ensure(SKELETON, never)
    small_disk(layout.STORAGE, 4)
    with pytest.raises(JailError) as caught:
        storage.create("one", "directory", key)
    assert f"the ext4 file system mounted on {layout.STORAGE} has 0 of" in str(caught.value)
    assert os.listdir(layout.STORAGE) == ["lost+found"]
    assert storage.names() == []
    storage.create("two", "overlay", key)
