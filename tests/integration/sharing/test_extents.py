# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Equal files of full trees share their extents, and nobody who reads or writes them can tell but by the space."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import dedupe as sharing
from ansible_collections.cellblock.jails.plugins.module_utils.jail import store
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import extents, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import owned, storage
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.bounds import Bounds
from ansible_collections.cellblock.jails.tests.integration.support import evidence, filesystems, overlays
from ansible_collections.cellblock.jails.tests.integration.support.fulltrees import (
    BYTES,
    FILES,
    KEY,
    Disk,
    LibOn,
    Names,
    facts,
    fill,
    make_jails,
    shares,
    tree_of,
)


def test_equal_files_share_and_space_comes_back(jails: list[str]) -> None:
    """Check mode says how many files and changes nothing; the real run does that; the file system has the bytes; every
    content, mode, owner and time is as it was; the next run has nothing to do."""
    before, free = [facts(name) for name in jails], filesystems.free_bytes()
    said = sharing.share_again(jails, None, True)
    assert [said[name].deduplicated for name in jails] == [0, FILES, FILES]
    assert not shares(tree_of(jails[0]) / "usr/lib/3", tree_of(jails[1]) / "usr/lib/3")
    done = sharing.share_again(jails, None, False)
    assert [done[name].deduplicated for name in jails] == [0, FILES, FILES]
    assert [done[name].changed for name in jails] == [False, True, True]
    assert filesystems.grows_to(free + 2 * FILES * (BYTES - 4096))
    assert [facts(name) for name in jails] == before
    for number in range(FILES):
        places = [tree_of(name) / f"usr/lib/{number}" for name in jails]
        assert shares(places[0], places[1])
        assert shares(places[1], places[2])
    for name in jails:
        assert done[name].bytes[0] >= FILES * BYTES > 1_000_000 > done[name].bytes[1]
    again = sharing.share_again(jails, None, False)
    assert not any(outcome.changed for outcome in again.values())


def test_a_file_of_the_template_is_shared_with_it(disk: Disk, name: str) -> None:
    """What a jail wrote again as the template has it lies where the template's does."""
    make_jails([name], seed=0)
    lib, theirs = tree_of(name) / "usr/lib", Path(layout.template(KEY)) / "root/usr/lib"
    assert not shares(lib / "3", theirs / "3")
    untouched = evidence.files(layout.TEMPLATES)
    assert sharing.share_again([name], None, False)[name].deduplicated == FILES
    assert shares(lib / "3", theirs / "3")
    assert evidence.files(layout.TEMPLATES) == untouched
    storage.remove(name)


def test_a_write_afterwards_is_the_writers_alone(jails: list[str]) -> None:
    """In the middle, at the end, through a map of memory, or by making it shorter: the neighbours see nothing."""
    sharing.share_again(jails, None, False)
    calm = [facts(name) for name in jails[1:]]
    lib = tree_of(jails[0]) / "usr/lib"
    with open(lib / "0", "r+b") as file:
        file.seek(500_000)
        file.write(b"mine")
    with open(lib / "1", "ab") as file:
        file.write(b"mine")
    os.truncate(lib / "2", 17)
    (lib / "3").unlink()
    assert [facts(name) for name in jails[1:]] == calm
    assert (lib / "0").read_bytes()[500_000:500_004] == b"mine"


def test_configuration_and_data_stay_apart(jails: list[str]) -> None:
    """Equal files in /etc and /var, and one that the package manager calls a conffile, are not shared."""
    for name in jails:
        for path in ("etc/conf", "var/lib/base", "usr/share/tool.conf", "usr/share/tool.data"):
            (tree_of(name) / path).parent.mkdir(parents=True, exist_ok=True)
            (tree_of(name) / path).write_bytes(b"equal" * 100_000)
        info = tree_of(name) / "var/lib/dpkg/info"
        info.mkdir(parents=True)
        (info / "tool.conffiles").write_text("/usr/share/tool.conf\n", encoding="ascii")
    assert sharing.share_again(jails, None, False)[jails[1]].deduplicated == FILES + 1
    one, other = tree_of(jails[0]), tree_of(jails[1])
    for path in ("etc/conf", "var/lib/base", "usr/share/tool.conf"):
        assert not shares(one / path, other / path)
    assert shares(one / "usr/share/tool.data", other / "usr/share/tool.data")


def test_trust_groups_share_nothing(disk: Disk, names: Names) -> None:
    """Equal files of jails of different trust groups stay apart, those of one group do not. A copy that has outlived
    its template is of the group that was said at its making; one of which nobody knows is an error."""
    first, second, third, orphan = given = names(4)
    for group, members in (("red", [first]), ("blue", [second, third, orphan])):
        recipe = {"method": "skeleton", "trust_group": group}
        key = f"{KEY}-{group}"
        overlays.make_template(key, lambda tree: fill(Path(tree)), "2026-01-01T00:00:00+00:00", recipe)
        for name in members:
            storage.create(name, "directory", key)
            fill(tree_of(name), 1)
    done = sharing.share_again([first, second, third], None, False)
    assert [done[name].deduplicated for name in (first, second, third)] == [0, 0, FILES]
    assert not shares(tree_of(first) / "usr/lib/0", tree_of(second) / "usr/lib/0")
    shutil.rmtree(layout.template(f"{KEY}-blue"))
    assert "trust group is not recorded" in str(sharing.share_again([orphan], None, False)[orphan].error)
    store.write(orphan, "rootfs", {"trust_group": "red"})
    assert sharing.share_again([first, orphan], None, False)[orphan].deduplicated == FILES
    assert shares(tree_of(first) / "usr/lib/0", tree_of(orphan) / "usr/lib/0")
    for name in given:
        storage.remove(name)
        store.forget_all(name)


def test_nobody_pays_for_another(names: Names, lib_on: LibOn) -> None:
    """Where btrfs counts what is shared for who wrote it first, jails share with the template and not with each other:
    a jail that removes its files has their space again. (The control: files that two share count for the first of them
    when only the other one has them.)"""
    lib_on("btrfs")
    first, second, third, fourth = given = names(4)
    make_jails(given)
    for name in given:
        storage.bind(name, Bounds(size=200 << 20))
    for name in given[:2]:
        fill(tree_of(name), 2)
    filesystems.free_bytes()

    def paid(name: str) -> int:
        filesystems.free_bytes()
        size = storage.used(name).size
        assert size is not None
        return size

    done = sharing.share_again([first, second], None, False)
    assert [done[name].deduplicated for name in (first, second)] == [0, 0]
    before = paid(first)
    shutil.rmtree(tree_of(first) / "usr")
    assert paid(first) <= before - FILES * (BYTES - 4096)

    for name in (third, fourth):
        fill(tree_of(name), 3)
    before = paid(third)
    for number in range(FILES):
        one, other = (tree_of(name) / f"usr/lib/{number}" for name in (third, fourth))
        with open(one, "rb") as source, open(other, "rb") as destination:
            assert extents.share(source.fileno(), destination.fileno(), BYTES)
    shutil.rmtree(tree_of(third) / "usr")
    assert paid(third) > before - BYTES

    fill(tree_of(second), 0)
    assert sharing.share_again([second], None, False)[second].deduplicated == FILES, "with the template"


def test_what_ext4_cannot_do_is_said(names: Names, lib_on: LibOn) -> None:
    """No error, nothing changed, and the reason."""
    lib_on("ext4")
    given = names(2)
    make_jails(given)
    for outcome in sharing.share_again(given, None, False).values():
        assert outcome.error is None
        assert not outcome.changed
        assert "ext4 cannot share content" in str(outcome.skipped)


def test_xfs_that_was_made_without_is_found_out(names: Names, lib_on: LibOn) -> None:
    """The kernel's answer counts, not the name of the file system."""
    lib_on("xfs-noreflink")
    given = names(2)
    make_jails(given)
    done = sharing.share_again(given, None, False)
    assert "cannot share content" in str(done[given[1]].skipped)


def test_the_kernel_shares_only_what_is_equal(disk: Disk) -> None:
    """Two files that differ in one byte: it says so, and both are as they were. Of equal ones no byte changes."""
    one, other = Path(layout.LIB) / "one", Path(layout.LIB) / "other"
    content = bytearray(os.urandom(3_000_000))
    one.write_bytes(content)
    content[2_999_999] ^= 1
    other.write_bytes(content)
    with open(one, "rb") as source, open(other, "rb") as destination:
        assert not extents.share(source.fileno(), destination.fileno(), 3_000_000)
    assert other.read_bytes() == content
    content[2_999_999] ^= 1
    other.write_bytes(content)
    with open(one, "rb") as source, open(other, "rb") as destination:
        assert extents.share(source.fileno(), destination.fileno(), 3_000_000)
    assert shares(one, other)
    assert one.read_bytes() == other.read_bytes() == content


def test_a_clone_is_a_copy(disk: Disk) -> None:
    """Of the content, in the same place, until one of them is written."""
    one, other = Path(layout.LIB) / "one", Path(layout.LIB) / "other"
    one.write_bytes(os.urandom(3_000_000))
    with open(one, "rb") as source, open(other, "wb") as destination:
        assert extents.clone(source.fileno(), destination.fileno())
    assert shares(one, other)
    assert one.read_bytes() == other.read_bytes()


def test_own_bytes_are_what_removal_gives_back(jails: list[str]) -> None:
    """As the file system counts it, before and after sharing."""
    for share in (False, True):
        if share:
            sharing.share_again(jails, None, False)
        own = owned.bytes_of(str(tree_of(jails[1])))
        free = filesystems.free_bytes()
        storage.remove(jails[1])
        if own > 1 << 20:
            assert filesystems.grows_to(free + own - (1 << 20))
        assert abs(filesystems.free_bytes() - free - own) < 2 << 20
        storage.create(jails[1], "directory", KEY)
        fill(tree_of(jails[1]), 1)


def test_killed_while_sharing_nothing_is_lost(jails: list[str]) -> None:
    """Killed at any moment: every content is as it was, and the next run does the rest."""
    before = [facts(name) for name in jails]

    def work() -> None:
        sharing.share_again(jails, None, False)

    for moment in range(12):
        pid = process.fork(work)
        time.sleep(moment * 0.02)
        os.kill(pid, signal.SIGKILL)
        process.wait(pid)
        assert [facts(name) for name in jails] == before
    assert not any(outcome.error for outcome in sharing.share_again(jails, None, False).values())
    assert not any(outcome.changed for outcome in sharing.share_again(jails, None, False).values())
    assert [facts(name) for name in jails] == before
