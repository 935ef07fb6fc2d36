# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Equal files of full trees share their extents, and nobody who reads or writes them can tell but by the space."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import dedupe as sharing
from ansible_collections.cellblock.jails.plugins.module_utils.jail import store
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import extents, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import owned, storage, trees
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.bounds import Bounds
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing import dedupe, keep
from ansible_collections.cellblock.jails.tests.integration.support import evidence, filesystems, overlays

Names = Callable[[int], list[str]]
LibOn = Callable[..., str]
Disk = str

KEY = "test-full"
_FILES, _BYTES = 12, 1_000_000


@pytest.fixture(params=["btrfs", "xfs"])
def disk(request: pytest.FixtureRequest, lib_on: LibOn) -> Disk:
    """A file system on which files can share content."""
    lib_on(request.param, 512)
    return str(request.param)


def fill(tree: Path, seed: int = 0) -> None:
    """Files of random bytes, the same for every call with this seed."""
    for number in range(_FILES):
        place = tree / "usr/lib" / str(number)
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        place.write_bytes(content_of(number, seed))


def content_of(number: int, seed: int = 0) -> bytes:
    """What is in one of them."""
    block = bytes((number * 7 + seed * 13 + each) % 256 for each in range(4096))
    return (block * (_BYTES // 4096 + 1))[:_BYTES]


def tree_of(name: str) -> Path:
    """A jail's full tree."""
    stored = storage.describe(name)
    assert stored is not None
    assert stored.writable is not None
    return Path(stored.writable)


def make_jails(given: list[str], seed: int = 1) -> None:
    """Full copies of a template, which were then upgraded one by one."""
    overlays.make_template(KEY, lambda tree: fill(Path(tree)), "2026-01-01T00:00:00+00:00")
    for name in given:
        storage.create(name, "directory", KEY)
        fill(tree_of(name), seed)


def shares(one: Path, other: Path) -> bool:
    """Whether two files lie in the same place."""
    with open(one, "rb") as left, open(other, "rb") as right:
        known = [extents.of(file.fileno()) for file in (left, right)]
    assert all(known)
    return extents.places(known[0] or []) == extents.places(known[1] or [])


@pytest.fixture
def jails(disk: Disk, names: Names) -> Iterator[list[str]]:
    """Three of them."""
    given = names(3)
    make_jails(given)
    yield given
    for name in given:
        storage.remove(name)


def facts(name: str) -> dict[str, tuple[object, ...]]:
    """All of a tree, by the path in it."""
    top = str(tree_of(name))
    return {path[len(top) :]: each for path, each in evidence.files(top).items()}


def test_equal_files_share_and_space_comes_back(jails: list[str]) -> None:
    """Check mode says how many files and changes nothing; the real run does that; the file system has the bytes; every
    content, mode, owner and time is as it was; the next run has nothing to do."""
    before, free = [facts(name) for name in jails], filesystems.free_bytes()
    said = sharing.share_again(jails, None, True)
    assert [said[name].deduplicated for name in jails] == [0, _FILES, _FILES]
    assert not shares(tree_of(jails[0]) / "usr/lib/3", tree_of(jails[1]) / "usr/lib/3")
    done = sharing.share_again(jails, None, False)
    assert [done[name].deduplicated for name in jails] == [0, _FILES, _FILES]
    assert [done[name].changed for name in jails] == [False, True, True]
    assert filesystems.grows_to(free + 2 * _FILES * (_BYTES - 4096))
    assert [facts(name) for name in jails] == before
    for number in range(_FILES):
        places = [tree_of(name) / f"usr/lib/{number}" for name in jails]
        assert shares(places[0], places[1])
        assert shares(places[1], places[2])
    for name in jails:
        assert done[name].bytes[0] >= _FILES * _BYTES > 1_000_000 > done[name].bytes[1]
    again = sharing.share_again(jails, None, False)
    assert not any(outcome.changed for outcome in again.values())


def test_a_file_of_the_template_is_shared_with_it(disk: Disk, name: str) -> None:
    """What a jail wrote again as the template has it lies where the template's does."""
    make_jails([name], seed=0)
    lib, theirs = tree_of(name) / "usr/lib", Path(layout.template(KEY)) / "root/usr/lib"
    assert not shares(lib / "3", theirs / "3")
    untouched = evidence.files(layout.TEMPLATES)
    assert sharing.share_again([name], None, False)[name].deduplicated == _FILES
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
    assert sharing.share_again(jails, None, False)[jails[1]].deduplicated == _FILES + 1
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
    assert [done[name].deduplicated for name in (first, second, third)] == [0, 0, _FILES]
    assert not shares(tree_of(first) / "usr/lib/0", tree_of(second) / "usr/lib/0")
    shutil.rmtree(layout.template(f"{KEY}-blue"))
    assert "trust group is not recorded" in str(sharing.share_again([orphan], None, False)[orphan].error)
    store.write(orphan, "rootfs", {"trust_group": "red"})
    assert sharing.share_again([first, orphan], None, False)[orphan].deduplicated == _FILES
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
    assert paid(first) <= before - _FILES * (_BYTES - 4096)

    for name in (third, fourth):
        fill(tree_of(name), 3)
    before = paid(third)
    for number in range(_FILES):
        one, other = (tree_of(name) / f"usr/lib/{number}" for name in (third, fourth))
        with open(one, "rb") as source, open(other, "rb") as destination:
            assert extents.share(source.fileno(), destination.fileno(), _BYTES)
    shutil.rmtree(tree_of(third) / "usr")
    assert paid(third) > before - _BYTES

    fill(tree_of(second), 0)
    assert sharing.share_again([second], None, False)[second].deduplicated == _FILES, "with the template"


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


# The kernel's part.


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


# A hostile jail.


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file of the host which the jail's links lead to."""
    place = tmp_path / "canary"
    place.write_bytes(content_of(0, 1))
    before = evidence.files(str(tmp_path))
    yield place
    assert evidence.files(str(tmp_path)) == before


def shared(pool: dedupe.Pool, name: str) -> dedupe.Shared:
    """Share one tree."""
    return pool.share(str(tree_of(name)), keep.of([str(tree_of(name))]), lends=True, write=True)


def test_what_is_no_file_is_not_opened(jails: list[str], canary: Path) -> None:
    """A FIFO, a device, a link to the host and a leased file in the place of files: passed over at once. Opened the
    obvious way, the FIFO and the lease hang, and the link leads to the host's file (the controls)."""
    lib = tree_of(jails[1]) / "usr/lib"
    for number in range(3):
        (lib / str(number)).unlink()
    os.mkfifo(lib / "0")
    os.mknod(lib / "1", stat.S_IFCHR | 0o666, os.makedev(1, 9))
    (lib / "2").symlink_to(canary)
    holder = os.open(lib / "3", os.O_RDWR)
    previous = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    try:
        began = time.monotonic()
        done = sharing.share_again(jails, None, False)
        assert time.monotonic() - began < 10
        assert done[jails[1]].deduplicated == _FILES - 4
        assert (lib / "2").read_bytes() == canary.read_bytes()
        for name in ("0", "3"):
            assert hangs((lib / name).read_bytes), name
    finally:
        os.close(holder)
        signal.signal(signal.SIGIO, previous)


def hangs(work: Callable[[], object]) -> bool:
    """Whether something does not come to its end within a second."""

    def child() -> None:
        work()

    pid = process.fork(child)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    process.wait(pid)
    return True


def _swap(lib: Path, canary: Path) -> None:
    """For ever: put something else in the place of files, cut them, make them longer, and put them back."""
    number = 0
    while True:
        number = (number + 1) % _FILES
        place, spare = lib / str(number), lib / f"spare-{number}"
        with contextlib.suppress(OSError):
            os.rename(place, spare)
            kind = number % 4
            if kind == 0:
                os.mkfifo(place)
            elif kind == 1:
                place.symlink_to(canary)
            elif kind == 2:
                place.mkdir()
            else:
                os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 9))
            os.truncate(spare, 5)
            with open(spare, "r+b") as file:
                file.write(content_of(number, 1))
            if kind == 2:
                place.rmdir()
            os.rename(spare, place)


def test_a_racing_writer_harms_nobody(jails: list[str], canary: Path) -> None:
    """While a jail swaps, cuts and rewrites its files as fast as it can, sharing goes on and comes to its end; no file
    of a neighbour changes, and none of the host."""
    hostile, *neighbours = jails
    calm = [facts(name) for name in neighbours]
    pid = process.fork(lambda: _swap(tree_of(hostile) / "usr/lib", canary))
    try:
        began, rounds = time.monotonic(), 0
        while time.monotonic() - began < 6:
            with dedupe.Pool() as pool:
                for name in jails:
                    shared(pool, name)
            rounds += 1
            for number, name in enumerate(neighbours):
                fill_again = tree_of(name) / "usr/lib"
                before = (fill_again / "1").stat()
                with open(fill_again / "1", "r+b") as file:  # a content of its own again
                    file.write(content_of(1, 1))
                os.utime(fill_again / "1", ns=(before.st_atime_ns, before.st_mtime_ns))
                assert facts(name) == calm[number]
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the hostile one has ended early"
    finally:
        os.kill(pid, signal.SIGKILL)
        process.wait(pid)
    print(f"{rounds} rounds")
    assert rounds > 2


def test_contents_that_change_between_look_and_share_stay(jails: list[str]) -> None:
    """A file that is another when the kernel compares it: it keeps its new content, and the next equal file shares with
    whoever has it still."""
    first, second, third = jails
    with dedupe.Pool() as pool:
        shared(pool, first)
        shared(pool, second)
        # The pool takes the first one's for what it was.
        changed = {number: os.urandom(_BYTES) for number in range(_FILES)}
        for number, content in changed.items():
            with open(tree_of(first) / f"usr/lib/{number}", "r+b") as file:
                file.write(content)
        assert shared(pool, third).files == 0
    for number, content in changed.items():
        assert (tree_of(first) / f"usr/lib/{number}").read_bytes() == content
        assert (tree_of(third) / f"usr/lib/{number}").read_bytes() == content_of(number, 1)
    assert sharing.share_again([second, third], None, False)[third].deduplicated == _FILES


def test_a_scattered_file_is_not_taken_over(jails: list[str]) -> None:
    """A jail that has a file in a thousand pieces does not make its neighbours' so."""
    first, second, third = jails
    place = tree_of(first) / "usr/lib/0"
    content = place.read_bytes()
    place.unlink()
    with open(place, "wb") as file:
        for start in [*range(0, len(content), 8192), *range(4096, len(content), 8192)]:
            file.seek(start)
            file.write(content[start : start + 4096])
            file.flush()
            os.fsync(file.fileno())
    with open(place, "rb") as file, open(tree_of(second) / "usr/lib/0", "rb") as theirs:
        pieces, few = (len(extents.places(extents.of(each.fileno()) or [])) for each in (file, theirs))
    if pieces <= 2 * few:
        pytest.skip(f"this file system has put it together again: {pieces} pieces")
    sharing.share_again(jails, None, False)
    assert not shares(place, tree_of(second) / "usr/lib/0")
    assert shares(tree_of(second) / "usr/lib/0", tree_of(third) / "usr/lib/0")


def test_sizes_that_are_lies_cost_no_time(jails: list[str]) -> None:
    """Holes of terabytes, and files that hold much more than the disk because they share most of it: no more is read
    than the disk can hold, and the others are shared all the same."""
    lib = tree_of(jails[1]) / "usr/lib"
    for number in range(50):
        os.close(os.open(lib / f"hole-{number}", os.O_CREAT | os.O_WRONLY))
        with contextlib.suppress(OSError):
            os.truncate(lib / f"hole-{number}", 1 << 42)
    large = lib / "large-0"
    with open(large, "wb") as file:
        file.writelines(os.urandom(1 << 20) for _chunk in range(48))
    apparent = 0
    for number in range(1, 60):
        with open(large, "rb") as source, open(lib / f"large-{number}", "wb") as copy:
            assert extents.clone(source.fileno(), copy.fileno())
            copy.seek((number % 48) << 20)
            copy.write(os.urandom(4096))  # each content is another, of the same size
        apparent += 48 << 20
    assert apparent > 4 * shutil.disk_usage(layout.LIB).total
    began = time.monotonic()
    done = sharing.share_again(jails, None, False)
    assert time.monotonic() - began < 60
    assert done[jails[1]].error is None
    assert done[jails[2]].deduplicated == _FILES


def test_a_tree_without_end_is_refused(jails: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """More entries than we look at: an error for that jail alone."""
    monkeypatch.setattr(trees, "MOST_ENTRIES", 100)
    for number in range(200):
        (tree_of(jails[0]) / f"entry-{number}").touch()
    done = sharing.share_again(jails, None, False)
    assert "more than 100 entries" in str(done[jails[0]].error)
    assert done[jails[2]].deduplicated == _FILES


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
