# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An overlay is moved onto another template, and the jail sees no difference."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import records, storage, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.bounds import Bounds
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing import rebase
from ansible_collections.cellblock.jails.tests.integration.support import evidence, filesystems, overlays, tracing

Names = Callable[[int], list[str]]
LibOn = Callable[..., str]

OLD, NEW = "test-old", "test-new"
EXAMPLES = int(os.environ.get("JAILS_TEST_EXAMPLES", "150"))
_TIMES = (1_600_000_000_000_000_000, 1_700_000_000_123_456_789)


@pytest.fixture(autouse=True)
def cleared(name: str) -> Iterator[None]:
    """No template of this file outlives a test."""
    yield
    storage.remove(name)
    for key in (OLD, NEW):
        shutil.rmtree(layout.template(key), ignore_errors=True)


def moved(name: str, template: str = NEW) -> rebase.Tally:
    """Move a jail's overlay."""
    with rebase.lowers_of(name, template) as pair:
        expected = rebase.survey(name, pair)
        tally = rebase.move(name, template, pair)
    assert tally == expected.tally
    return tally


# Random trees.

Operation = tuple[Any, ...]
_NAMES = ("usr", "etc", "a", "b")
_PATHS = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map("/".join)
_CONTENT = st.sampled_from(("", "one", "two" * 2000, "six" * 2000))
_ATTRIBUTES = ("user.x", "user.overlay.overlay.opaque", "security.capability")
_OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.tuples(st.just("write"), _PATHS, _CONTENT, st.sampled_from((0o644, 0o755, 0o4711))),
    st.tuples(st.just("folder"), _PATHS, st.sampled_from((0o755, 0o1777, 0o2750))),
    st.tuples(st.just("symlink"), _PATHS, st.sampled_from(("usr", "../a", "/etc/b", "nowhere"))),
    st.tuples(st.just("link"), _PATHS, _PATHS),
    st.tuples(st.just("rename"), _PATHS, _PATHS),
    st.tuples(st.just("remove"), _PATHS),
    st.tuples(st.just("node"), _PATHS, st.sampled_from((stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK))),
    st.tuples(st.just("owner"), _PATHS, st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("attribute"), _PATHS, st.sampled_from(_ATTRIBUTES)),
    st.tuples(st.just("time"), _PATHS, st.sampled_from(_TIMES)),
    st.tuples(st.just("append"), _PATHS, st.sampled_from(("more", "less"))),
    st.tuples(st.just("anew"), _PATHS),
)
_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
# What a jail sets as the first is the second on disk.
_INSIDE, _ON_DISK = "user.overlay.", "user.overlay.overlay."


def carry_out(root: int, operations: Sequence[Operation], mark: str = _INSIDE) -> None:
    """Go into a tree for good and do all of it that can be done; the rest has no effect. Times come out the same in
    every run."""
    os.fchdir(root)
    os.chroot(".")
    os.umask(0)
    for kind, path, *rest in operations:
        values = [rest[0].replace(_ON_DISK, mark)] if kind == "attribute" else rest
        with contextlib.suppress(OSError):
            _DOERS[kind](path, *values)
            if kind != "time":
                _stamp(path)
            _stamp(os.path.dirname(path) or ".")


def _stamp(path: str, time: int = _TIMES[0]) -> None:
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time, time), follow_symlinks=False)


def _write(path: str, content: str, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
    with paths.opened(os.open(path, flags, 0o600)) as file:
        os.write(file, content.encode())
        os.fchmod(file, mode)


def _append(path: str, content: str) -> None:
    with paths.opened(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
        os.write(file, content.encode())


def _folder(path: str, mode: int) -> None:
    os.mkdir(path)
    os.chmod(path, mode)


def _remove(path: str) -> None:
    os.lstat(path)
    with paths.opened(os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY)) as parent:
        paths.remove_tree(parent, os.path.basename(path))


def _anew(path: str) -> None:
    """Put an empty directory in the place of another: an opaque one, where there is a lower one."""
    os.listdir(path)
    _remove(path)
    os.mkdir(path, 0o755)


def _attribute(path: str, name: str) -> None:
    os.setxattr(path, name, _CAPABILITY if name == "security.capability" else b"y", follow_symlinks=False)


_DOERS: dict[str, Callable[..., None]] = {
    "write": _write,
    "folder": _folder,
    "symlink": lambda path, target: os.symlink(target, path),
    "link": lambda path, other: os.link(path, other, follow_symlinks=False),
    "rename": os.rename,
    "remove": _remove,
    "node": lambda path, kind: os.mknod(path, kind | 0o640, os.makedev(1, 3)),
    "owner": lambda path, uid, gid: os.chown(path, uid, gid, follow_symlinks=False),
    "attribute": _attribute,
    "time": _stamp,
    "append": _append,
    "anew": _anew,
}


_BEGINNING: list[Operation] = [
    *(("folder", path, 0o755) for path in ("usr", "usr/a", "usr/b", "usr/a/b", "etc", "a", "a/usr", "b", "b/b")),
    *(("write", path, path * 1000, 0o644) for path in ("usr/etc", "usr/a/usr", "usr/a/a", "usr/b/b", "etc/a", "a/b")),
    ("link", "usr/a/usr", "usr/a/etc"),
    ("link", "usr/b/b", "usr/b/a"),
    ("link", "usr/b/b", "b/a"),
    ("symlink", "usr/b/etc", "../a"),
    ("write", "usr/b/usr", "x" * 9000, 0o4755),
    ("owner", "usr/b/usr", 1, 2),
    ("attribute", "usr/etc", "user.x"),
    ("attribute", "usr/a/a", "security.capability"),
    ("node", "a/etc", stat.S_IFIFO),
    ("node", "b/etc", stat.S_IFCHR),
]
"""What every template begins with: without something to work on few operations have an effect."""


def filled(operations: Sequence[Operation]) -> Callable[[str], None]:
    """Fills a template's tree."""

    def fill(tree: str) -> None:
        with paths.opened(os.open(tree, os.O_RDONLY | os.O_DIRECTORY)) as root:
            work = [*_BEGINNING, *operations]
            assert process.wait(process.fork(lambda: carry_out(root, work, _ON_DISK))) == 0

    return fill


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Operation], list[Operation], list[Operation]]:
    """What makes the old template, what leads from it to the new one, and what the jail did: some of that, in that
    order, and things of its own."""
    first = draw(st.lists(_OPERATIONS, max_size=10))
    upgrade = draw(st.lists(_OPERATIONS, max_size=12))
    done = upgrade if draw(st.booleans()) else [each for each in upgrade if draw(st.booleans())]
    own = draw(st.lists(_OPERATIONS, max_size=12))
    cut = draw(st.integers(0, len(own)))
    return first, upgrade, [*own[:cut], *done, *own[cut:]]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_the_view_stays_as_it_is(name: str, history: tuple[list[Operation], list[Operation], list[Operation]]) -> None:
    """Whatever the templates hold and whatever the jail did, it sees the same before and after; a second move has
    nothing to do; the templates are as they were."""
    first, upgrade, inside = history
    storage.remove(name)
    overlays.make_template(OLD, filled(first), "2026-01-01T00:00:00+00:00")
    overlays.make_template(NEW, filled([*first, *upgrade]), "2026-02-01T00:00:00+00:00")
    storage.create(name, "overlay", OLD)
    overlays.inside(name, lambda root: carry_out(root, inside))
    before, untouched = overlays.view(name), evidence.files(layout.TEMPLATES)
    tally = moved(name)
    assert overlays.view(name) == before
    assert evidence.files(layout.TEMPLATES) == untouched
    record = records.read(name)
    assert record is not None
    assert record.template == NEW
    again = moved(name)
    assert again == rebase.Tally(0, 0, 0, 0, 0), tally
    assert overlays.view(name) == before


# What matters to somebody, one by one.


def two_templates(old: Callable[[Path], object], new: Callable[[Path], object]) -> None:
    """A template and the one that came after it."""
    overlays.make_template(OLD, lambda tree: old(Path(tree)), "2026-01-01T00:00:00+00:00")
    overlays.make_template(NEW, lambda tree: new(Path(tree)), "2026-02-01T00:00:00+00:00")


def put(tree: Path, path: str, content: bytes = b"x" * 100_000, mode: int = 0o644) -> None:
    """A file with a time that is the same everywhere, and directories likewise."""
    place = tree / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    os.chmod(place, mode)
    for each in (place, *(parent for parent in place.parents if tree in (parent, *parent.parents))):
        os.utime(each, ns=(_TIMES[0], _TIMES[0]))


def upper(name: str) -> Path:
    """The upper directory."""
    stored = storage.describe(name)
    assert stored is not None
    assert stored.writable is not None
    return Path(stored.writable)


def left_over(name: str) -> list[str]:
    """What there is in a jail's storage that belongs to no jail."""
    return sorted({*os.listdir(layout.storage(name))} - {"storage.json", "upper", "work"})


def programs(content: bytes) -> Callable[[Path], None]:
    """Fills a tree with files that an upgrade replaces."""

    def fill(tree: Path) -> None:
        for number in range(20):
            put(tree, f"usr/lib/{number}", content)
        put(tree, "etc/conf", content)

    return fill


@pytest.fixture
def upgraded(name: str) -> str:
    """A stopped jail that has upgraded itself to what the new template has."""
    return make_upgraded(name)


def make_upgraded(name: str) -> str:
    """Make it."""
    two_templates(programs(b"old" * 100_000), programs(b"new" * 100_000))
    storage.create(name, "overlay", OLD)
    programs(b"new" * 100_000)(upper(name))
    return name


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
        os.utime(place, ns=(_TIMES[0], _TIMES[0]))
    elif difference == "time":
        os.utime(place, ns=(_TIMES[0], _TIMES[0] + 1))
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
        os.utime(tree, ns=(_TIMES[0], _TIMES[0]))
    (new / "3").unlink()
    os.link(new / "2", new / "3")
    os.utime(new, ns=(_TIMES[0], _TIMES[0]))
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


# A hostile jail.


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


# Interruptions.


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
