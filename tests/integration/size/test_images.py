# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of an image: it grows while its jail runs where the kernel lets it, and shrinks with a start."""

from __future__ import annotations

import os

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import images
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.backing import image
from ansible_collections.cellblock.jails.tests.integration.support.calls import actions, inside, module, refused, shell
from ansible_collections.cellblock.jails.tests.integration.support.limited import (
    MIB,
    SKELETON,
    LibOn,
    disk,
    make,
    write,
)


@pytest.mark.parametrize("filesystem", ["ext4", "btrfs"])
def test_inodes_of_an_image(lib_on: LibOn, name: str, filesystem: str) -> None:
    """Made with it: at least as many as asked for, and another number is refused later."""
    lib_on(filesystem)
    make(name, "image", size="32M", inodes=500)
    assert not module("jail_rootfs", name=name, size="32M", inodes=500, storage="image", **SKELETON)["changed"]
    made = int(shell(name, "i=0; while [ $i -lt 900 ] && true > /srv/$i; do i=$((i+1)); done 2>/dev/null; echo $i"))
    assert 450 < made < 600
    assert 500 <= disk(name)["inodes"] < 600
    assert "inodes: the inodes of an image are made with it" in refused("jail_rootfs", name=name, inodes=700)


def test_an_image_grows(lib_on: LibOn, name: str) -> None:
    """While the jail runs, where the kernel lets us grow a mounted file system; else with its next start."""
    lib_on("ext4")
    make(name, "image", size="32M")
    assert not write(name, 40)
    shell(name, "rm /srv/file; echo kept > /srv/kept")
    result = module("jail_rootfs", name=name, size="64M")
    if images.can_grow_mounted():
        assert actions(result, name) == [("size", "32M", "64M", "storage")]
        assert not result["jails"][name]["restart_required"]
    else:
        assert actions(result, name) == [("size", "32M", "64M", "record")]
        for check in (True, False):
            again = module("jail_rootfs", name=name, size="64M", check=check)
            assert not again["changed"]
            assert again["jails"][name]["restart_required"] == ["size"]
        assert disk(name)["bytes_max"] == 32 * MIB
        module("jail_state", name=[name], state="restarted")
    again = module("jail_rootfs", name=name, size="64M")
    assert not again["changed"]
    assert not again["jails"][name]["restart_required"]
    assert disk(name)["bytes_max"] == 64 * MIB
    assert write(name, 40)
    assert inside(name, "cat", "/srv/kept") == "kept\n"


def test_an_image_shrinks_with_the_next_start(lib_on: LibOn, name: str) -> None:
    """And only to what its files fit into; stopped, at once."""
    lib_on("ext4")
    make(name, "image", size="96M")
    assert write(name, 40)
    said = refused("jail_rootfs", name=name, size="32M")
    assert "size: it uses 4" in said
    assert "more than 32M" in said
    result = module("jail_rootfs", name=name, size="64M")
    assert actions(result, name) == [("size", "96M", "64M", "record")]
    assert result["jails"][name]["restart_required"] == ["size"]
    digest = inside(name, "sha256sum", "/srv/file")
    module("jail_state", name=[name], state="restarted")
    assert disk(name)["bytes_max"] == 64 * MIB
    assert inside(name, "sha256sum", "/srv/file") == digest
    shell(name, "rm /srv/file")
    module("jail_state", name=[name], state="stopped")
    assert actions(module("jail_rootfs", name=name, size="20M"), name) == [("size", "64M", "20M", "storage")]
    assert os.path.getsize(image.image(layout.storage(name))) == 20 * MIB
    module("jail_state", name=[name], state="started")
    assert not write(name, 24)


def test_an_image_that_was_to_shrink_and_has_been_filled(lib_on: LibOn, name: str) -> None:
    """The start fails with the figures, and the files are as they were."""
    lib_on("ext4")
    make(name, "image", size="96M")
    assert module("jail_rootfs", name=name, size="32M")["jails"][name]["restart_required"] == ["size"]
    assert write(name, 40)
    said = refused("jail_state", name=[name], state="restarted")
    assert "size: it uses 4" in said
    module("jail_rootfs", name=name, size="96M")
    module("jail_state", name=[name], state="started")
    assert shell(name, "du -m /srv/file | cut -f1") == "40\n"


def test_sizes_that_an_image_cannot_have(lib_on: LibOn, name: str) -> None:
    """Too small, and none; nothing is left of one that could not be made."""
    lib_on("ext4")
    assert "size: 8M is too little" in refused("jail_rootfs", name=name, storage="image", size="8M", **SKELETON)
    assert os.listdir(layout.STORAGE) == []
    make(name, "image", size="32M")
    assert "size: 8M is too little" in refused("jail_rootfs", name=name, size="8M")
    assert "size: an image has always a size" in refused("jail_rootfs", name=name, size="unlimited")
    assert disk(name)["bytes_max"] == 32 * MIB
