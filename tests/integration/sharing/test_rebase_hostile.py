# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An overlay whose jail wants its move to the next template to harm somebody."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import records, storage, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing import rebase
from ansible_collections.cellblock.jails.tests.integration.support import evidence, overlays
from ansible_collections.cellblock.jails.tests.integration.support.upgrades import NEW, left_over, moved, put, upper

pytestmark = pytest.mark.usefixtures("cleared")


@pytest.mark.parametrize("mark", ["user.overlay.redirect", "user.overlay.metacopy", "user.overlay.new-one"])
def test_marks_of_other_overlays_are_refused(upgraded: str, mark: str) -> None:
    """An upper directory with marks that ours cannot have is left as it is."""
    os.setxattr(upper(upgraded) / "usr/lib/3", mark, b"/etc")
    before = evidence.files(str(upper(upgraded))), records.read(upgraded)
    with pytest.raises(JailError, match=mark):
        moved(upgraded)
    with rebase.lowers_of(upgraded, NEW) as pair, pytest.raises(JailError, match=mark):
        rebase.move(upgraded, NEW, pair)
    assert (evidence.files(str(upper(upgraded))), records.read(upgraded)) == before
    assert left_over(upgraded) == []


def test_attributes_as_whiteouts_keep_what_they_do(upgraded: str) -> None:
    """An empty file with ``user.overlay.whiteout`` hides or is seen as the kernel has it, before and after alike."""
    place = upper(upgraded) / "usr/lib/5"
    place.write_bytes(b"")
    os.setxattr(place, "user.overlay.whiteout", b"y")
    os.setxattr(upper(upgraded) / "usr/lib", "user.overlay.opaque", b"x")

    def seen(root: int) -> list[bool]:
        with contextlib.suppress(FileNotFoundError):
            os.stat("usr/lib/5", dir_fd=root)
            return [True]
        return [False]

    before = overlays.inside(upgraded, seen)
    moved(upgraded)
    assert overlays.inside(upgraded, seen) == before
    assert os.getxattr(place, "user.overlay.whiteout") == b"y"


def test_a_template_with_marks_is_refused(upgraded: str) -> None:
    """A whiteout or a mark in a template would mean something else than the file that it is."""
    place = Path(templates.tree(NEW)) / "usr/lib/gone"
    os.mknod(place, stat.S_IFCHR, 0)
    with pytest.raises(JailError, match="device 0/0"):
        moved(upgraded)
    place.unlink()
    os.setxattr(Path(templates.tree(NEW)) / "usr/lib/3", "user.overlay.metacopy", b"")
    with pytest.raises(JailError, match="metacopy"):
        moved(upgraded)


def naive(name: str) -> None:
    """The obvious way to do it, by names: for the controls below."""
    own, new = upper(name), Path(templates.tree(NEW))
    for theirs in new.rglob("*"):
        mine = own / theirs.relative_to(new)
        if theirs.is_file() and mine.is_file() and mine.read_bytes() == theirs.read_bytes():
            mine.unlink()


def test_no_link_leads_out(upgraded: str, tmp_path: Path) -> None:
    """A directory of the upper one that is a link to the host: the obvious way removes the host's files, ours touches
    nothing behind it."""
    canary = tmp_path / "canary"
    for number in range(20):
        put(canary, str(number), b"new" * 100_000)
    lib = upper(upgraded) / "usr/lib"
    shutil.rmtree(lib)
    lib.symlink_to(canary)
    before, view = evidence.files(str(canary)), overlays.view(upgraded)
    assert moved(upgraded).dropped == 0
    assert evidence.files(str(canary)) == before
    assert overlays.view(upgraded) == view
    naive(upgraded)
    assert not list(canary.iterdir()), "the control: it does reach the host"


def test_what_cannot_be_opened_is_not_opened(upgraded: str) -> None:
    """FIFOs, sockets, and files with names of bytes that are no text come through; nothing waits."""
    lib = upper(upgraded) / "usr/lib"
    for number in range(4):
        (lib / str(number)).unlink()
        os.mkfifo(lib / str(number))
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        os.chdir(lib)
        listener.bind("sock")
        os.chdir("/")
    os.mkdir(bytes(lib) + b"/\xff\n\x80")
    before = overlays.view(upgraded)
    assert moved(upgraded).dropped == 16
    assert overlays.view(upgraded) == before


def test_a_tree_deeper_than_a_path_is_refused(upgraded: str) -> None:
    """Without a crash, and with nothing changed."""
    folder = os.open(upper(upgraded), os.O_RDONLY)
    for _depth in range(30):
        os.mkdir("d" * 250, dir_fd=folder)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(folder)
    with pytest.raises(JailError, match="longer than the kernel takes"):
        moved(upgraded)
    storage.remove(upgraded)


def test_a_file_with_all_the_names_there_can_be_is_refused(upgraded: str) -> None:
    """It can get no further name; nothing has changed."""
    lib = upper(upgraded) / "usr/lib"
    with contextlib.suppress(OSError):
        for number in range(70_000):
            os.link(lib / "0", lib / f"0-{number}")
    links = (lib / "0").stat().st_nlink
    if links > 69_000:
        pytest.skip("this file system has no limit that can be reached")
    with rebase.lowers_of(upgraded, NEW) as pair, pytest.raises(JailError, match="too many names"):
        rebase.move(upgraded, NEW, pair)
    assert (lib / "0").stat().st_nlink == links
    assert left_over(upgraded) == []


def test_a_mount_in_the_tree_is_not_entered(upgraded: str) -> None:
    """What the administrator mounted there stays, and the jail stays where it is."""
    place = upper(upgraded) / "usr/lib"
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    try:
        (place / "precious").touch()
        with pytest.raises(OSError, match="cross-device"):
            moved(upgraded)
        assert (place / "precious").exists()
    finally:
        subprocess.run(["umount", str(place)], check=True)
