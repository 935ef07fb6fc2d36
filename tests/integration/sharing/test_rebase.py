# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An overlay is moved onto another template, and the jail sees no difference."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.bounds import Bounds
from ansible_collections.cellblock.jails.tests.integration.support import evidence, filesystems, overlays
from ansible_collections.cellblock.jails.tests.integration.support.operations import _CAPABILITY, TIMES
from ansible_collections.cellblock.jails.tests.integration.support.upgrades import (
    NEW,
    OLD,
    make_upgraded,
    moved,
    put,
    two_templates,
    upper,
)

pytestmark = pytest.mark.usefixtures("cleared")

Names = Callable[[int], list[str]]

LibOn = Callable[..., str]


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_space_comes_back(name: str, kind: str, lib_on: LibOn) -> None:
    """The file system has the bytes of the jail's copies again; the configuration stays the jail's own."""
    lib_on(kind)
    make_upgraded(name)
    before, free = overlays.view(name), filesystems.free_bytes()
    tally = moved(name)
    assert (tally.dropped, tally.copied) == (20, 0)
    assert filesystems.grows_to(free + 20 * 300_000)
    assert overlays.view(name) == before
    kept = [path.relative_to(upper(name)) for path in upper(name).rglob("*") if path.is_file()]
    assert kept == [Path("etc/conf")]
    templates.remove(OLD)  # nobody needs it any more
    assert overlays.view(name) == before


@pytest.mark.parametrize("kind", ["ext4-prjquota", "xfs-prjquota", "btrfs"])
def test_limits_and_what_counts_against_them_stay(name: str, kind: str, lib_on: LibOn) -> None:
    """However often it moves, the jail's own files count as before, so that it cannot write more than its limit."""
    lib_on(kind)
    two_templates(lambda tree: put(tree, "usr/one"), lambda tree: put(tree, "usr/two"))
    storage.create(name, "overlay", OLD, Bounds(size=100 << 20))
    put(upper(name), "root/own", os.urandom(30 << 20))
    filesystems.free_bytes()  # all is written and counted
    before, limits = storage.used(name).size, storage.bounds_of(name)
    assert before is not None
    assert 30 << 20 <= before < 40 << 20
    for template in (NEW, OLD, NEW):
        moved(name, template)
        filesystems.free_bytes()
        after = storage.used(name).size
        assert after is not None
        assert abs(after - before) < 1 << 20
        assert storage.bounds_of(name) == limits


@pytest.mark.parametrize("difference", ["content", "time", "mode", "owner", "attribute"])
def test_nothing_goes_that_differs(upgraded: str, difference: str) -> None:
    """One bit of content with size and time as they were, a nanosecond, a mode, an owner, an attribute: the file
    stays."""
    place = upper(upgraded) / "usr/lib/7"
    if difference == "content":
        content = bytearray(place.read_bytes())
        content[-1] ^= 1
        place.write_bytes(content)
        os.utime(place, ns=(TIMES[0], TIMES[0]))
    elif difference == "time":
        os.utime(place, ns=(TIMES[0], TIMES[0] + 1))
    elif difference == "mode":
        place.chmod(0o600)
    elif difference == "owner":
        os.chown(place, 0, 7)
    else:
        os.setxattr(place, "user.note", b"mine")
    before = overlays.view(upgraded)
    assert moved(upgraded).dropped == 19
    assert place.exists()
    assert overlays.view(upgraded) == before


def test_a_file_with_two_names_stays_one_file(upgraded: str) -> None:
    """What the jail linked it can still write through both names, which a template's file could not do: it is not
    dropped. Neither are two files of the jail's own made one because the template's are."""
    lib, new = upper(upgraded) / "usr/lib", Path(templates.tree(NEW)) / "usr/lib"
    for tree in (lib, new):
        (tree / "1").unlink()
        os.link(tree / "0", tree / "1")
        os.utime(tree, ns=(TIMES[0], TIMES[0]))
    (new / "3").unlink()
    os.link(new / "2", new / "3")
    os.utime(new, ns=(TIMES[0], TIMES[0]))
    before = overlays.view(upgraded)
    assert moved(upgraded).dropped == 16
    assert overlays.view(upgraded) == before

    def write(root: int) -> str:
        with open(os.open("usr/lib/0", os.O_WRONLY | os.O_TRUNC, dir_fd=root), "w", encoding="ascii") as file:
            file.write("changed")
        with open(os.open("usr/lib/1", os.O_RDONLY, dir_fd=root), encoding="ascii") as file:
            return file.read()

    assert overlays.inside(upgraded, write) == "changed"


def test_a_write_afterwards_changes_no_template_and_no_neighbour(upgraded: str, names: Names) -> None:
    """Two jails on one new template: what one writes, appends or removes, the other and the template do not see."""
    (neighbour,) = names(1)
    storage.create(neighbour, "overlay", NEW)
    moved(upgraded)
    calm, untouched = overlays.view(neighbour), evidence.files(layout.TEMPLATES)

    def work(root: int) -> None:
        with open(os.open("usr/lib/0", os.O_WRONLY | os.O_APPEND, dir_fd=root), "w", encoding="ascii") as file:
            file.write("mine")
        os.unlink("usr/lib/1", dir_fd=root)
        os.rename("usr/lib/2", "usr/lib/3", src_dir_fd=root, dst_dir_fd=root)

    overlays.inside(upgraded, work)
    assert overlays.view(neighbour) == calm
    assert evidence.files(layout.TEMPLATES) == untouched
    storage.remove(neighbour)


def test_what_only_the_old_template_had_stays(name: str) -> None:
    """Files, holes, links, devices and capabilities that the new template lacks become the jail's own, and what it has
    besides is not seen."""

    def old(tree: Path) -> None:
        put(tree, "usr/bin/tool", b"old" * 50_000, 0o4755)
        os.setxattr(tree / "usr/bin/tool", "security.capability", _CAPABILITY)
        os.link(tree / "usr/bin/tool", tree / "usr/bin/other")
        (tree / "usr/sparse").touch()
        os.truncate(tree / "usr/sparse", 1 << 26)
        with open(tree / "usr/sparse", "r+b") as file:
            file.seek(1 << 25)
            file.write(b"middle" * 1000)
        (tree / "usr/link").symlink_to("bin/tool")
        os.mknod(tree / "usr/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mkfifo(tree / "usr/fifo", 0o620)

    def new(tree: Path) -> None:
        put(tree, "usr/bin/tool", b"new" * 50_000, 0o4755)
        put(tree, "usr/bin/more")
        put(tree, "opt/things/one")

    two_templates(old, new)
    storage.create(name, "overlay", OLD)
    before = overlays.view(name)
    tally = moved(name)
    assert tally.copied == 6
    assert tally.copied_bytes < 1 << 20, "holes are not counted"
    assert overlays.view(name) == before
    assert (upper(name) / "usr/sparse").stat().st_blocks * 512 < 1 << 20, "holes are not filled"
    assert before["usr/bin/tool"][-1] == ["usr/bin/other", "usr/bin/tool"]
    assert stat.S_ISCHR((upper(name) / "opt").lstat().st_mode)
