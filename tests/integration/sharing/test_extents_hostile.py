# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jail that wants the sharing of extents to harm somebody."""

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
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import extents, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import trees
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing import dedupe, keep
from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.fulltrees import (
    BYTES,
    FILES,
    content_of,
    facts,
    shares,
    tree_of,
)


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
        assert done[jails[1]].deduplicated == FILES - 4
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
        number = (number + 1) % FILES
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
        changed = {number: os.urandom(BYTES) for number in range(FILES)}
        for number, content in changed.items():
            with open(tree_of(first) / f"usr/lib/{number}", "r+b") as file:
                file.write(content)
        assert shared(pool, third).files == 0
    for number, content in changed.items():
        assert (tree_of(first) / f"usr/lib/{number}").read_bytes() == content
        assert (tree_of(third) / f"usr/lib/{number}").read_bytes() == content_of(number, 1)
    assert sharing.share_again([second, third], None, False)[third].deduplicated == FILES


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
    assert done[jails[2]].deduplicated == FILES


def test_a_tree_without_end_is_refused(jails: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """More entries than we look at: an error for that jail alone."""
    monkeypatch.setattr(trees, "MOST_ENTRIES", 100)
    for number in range(200):
        (tree_of(jails[0]) / f"entry-{number}").touch()
    done = sharing.share_again(jails, None, False)
    assert "more than 100 entries" in str(done[jails[0]].error)
    assert done[jails[2]].deduplicated == FILES
