# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths below a root that somebody else controls."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory that plays the host."""
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "file").write_text("host", encoding="ascii")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A guest's root directory."""
    folder = tmp_path / "root"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "file").write_text("guest", encoding="ascii")
    return folder


@pytest.fixture
def root(tree: Path) -> Iterator[int]:
    """A descriptor of it."""
    descriptor = paths.open_directory(str(tree))
    yield descriptor
    os.close(descriptor)


def test_links_stay_inside(tree: Path, root: int, host: Path) -> None:
    """Absolute links, links that climb, and dots in the path lead to the guest's file; by name they lead out."""
    (tree / "etc" / "absolute").symlink_to("/etc/file")
    (tree / "etc" / "climbing").symlink_to("../../../../../../etc/file")
    (tree / "out").symlink_to(host)
    for path in ("/etc/absolute", "/etc/climbing", "../../../etc/file", "/etc/../../etc/file"):
        assert paths.read_file(root, path) == b"guest"
    assert (tree / "out" / "file").read_text(encoding="ascii") == "host"
    with pytest.raises(FileNotFoundError):
        paths.read_file(root, "/out/file")


def test_magic_links_are_refused(tree: Path, root: int, host: Path) -> None:
    """A link of /proc leads anywhere, whatever the root is; through one nothing is opened."""
    descriptor = os.open(host, os.O_PATH)
    try:
        (tree / "proc").mkdir()
        subprocess.run(["mount", "-t", "proc", "proc", str(tree / "proc")], check=True)
        assert Path(tree, "proc", str(os.getpid()), "fd", str(descriptor), "file").read_text(encoding="ascii") == "host"
        with pytest.raises(OSError, match="Too many levels"):
            paths.read_file(root, f"/proc/{os.getpid()}/fd/{descriptor}/file")
    finally:
        subprocess.run(["umount", str(tree / "proc")], check=False)
        os.close(descriptor)


def test_plain_paths_take_no_link_at_all(tree: Path, root: int) -> None:
    """For mount points: neither as the last part nor on the way."""
    (tree / "link").symlink_to("/etc")
    for path in ("/link", "/link/file"):
        with pytest.raises(OSError, match="open") as caught:
            paths.open_plain(root, path, os.O_PATH)
        assert caught.value.errno == errno.ELOOP
    os.close(paths.open_in(root, "/link", os.O_PATH))


def test_reading_is_of_regular_files_and_bounded(tree: Path, root: int) -> None:
    """A FIFO without a writer does not hang, a device or directory is no file, a large one is read in part."""
    os.mkfifo(tree / "fifo")
    answers: list[int | None] = []

    def read() -> None:
        try:
            paths.read_file(root, "/fifo")
        except OSError as error:
            answers.append(error.errno)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(10)
    assert answers == [errno.EINVAL]
    with pytest.raises(OSError, match="not a regular file"):
        paths.read_file(root, "/etc")
    (tree / "large").write_bytes(b"x" * 300_000)
    assert len(paths.read_file(root, "/large", 100_000)) == 100_000
    assert len(paths.read_file(root, "/large")) == 300_000


def test_writing_replaces_a_link_and_never_follows_it(tree: Path, root: int, host: Path) -> None:
    """The file of the host that a link leads to stays as it is; by name it would be written."""
    link = tree / "etc" / "link"
    link.symlink_to(host / "file")
    paths.write_file(root, "/etc/link", b"new", 0o640)
    assert (host / "file").read_text(encoding="ascii") == "host"
    assert not link.is_symlink()
    assert link.read_bytes() == b"new"
    assert stat.S_IMODE(link.stat().st_mode) == 0o640
    assert sorted(os.listdir(tree / "etc")) == ["file", "link"]


def test_writing_below_a_link_stays_inside(tree: Path, root: int, host: Path) -> None:
    """A directory on the way that is a link is followed within the root only."""
    (tree / "conf").symlink_to("/etc")
    (tree / "out").symlink_to(host)
    paths.write_file(root, "/conf/new", b"x")
    assert (tree / "etc" / "new").read_bytes() == b"x"
    with pytest.raises(FileNotFoundError):
        paths.write_file(root, "/out/new", b"x")
    assert os.listdir(host) == ["file"]


def test_writing_replaces_fifo_and_leftover(tree: Path, root: int) -> None:
    """Other kinds of file make room, and a file that a killed call left is no obstacle."""
    os.mkfifo(tree / "fifo")
    (tree / f".fifo.{os.getpid()}.new").write_text("old", encoding="ascii")
    paths.write_file(root, "/fifo", b"now a file")
    assert (tree / "fifo").read_bytes() == b"now a file"
    assert sorted(os.listdir(tree)) == ["etc", "fifo"]


def test_writing_into_a_directory_is_an_error(tree: Path, root: int) -> None:
    """A directory of that name stays, and so does nothing else."""
    with pytest.raises(OSError, match="etc"):
        paths.write_file(root, "/etc", b"x")
    assert os.listdir(tree) == ["etc"]


def test_directories_are_made_once_and_never_through_a_link(tree: Path, root: int, host: Path) -> None:
    """A missing one is made, one that is there taken, a link or file refused."""
    os.close(paths.make_directory(root, "/new"))
    os.close(paths.make_directory(root, "/new"))
    os.close(paths.make_directory(root, "/new/below"))
    assert (tree / "new" / "below").is_dir()
    (tree / "out").symlink_to(host)
    for path in ("/out", "/out/x"):
        with pytest.raises(OSError, match="out") as caught:
            paths.make_directory(root, path)
        assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
    with pytest.raises(NotADirectoryError):
        paths.make_directory(root, "/etc/file")
    assert os.listdir(host) == ["file"]


def test_removing_follows_no_link(tree: Path, host: Path, tmp_path: Path) -> None:
    """Links are removed, and what they lead to stays; so does a tree that is itself a link."""
    (tree / "out").symlink_to(host)
    (tree / "etc" / "up").symlink_to("../..")
    os.mkfifo(tree / "fifo")
    with paths.opened(paths.open_directory(str(tmp_path))) as parent:
        paths.remove_tree(parent, "root")
        assert not tree.exists()
        (tmp_path / "root").symlink_to(host)
        paths.remove_tree(parent, "root")
        paths.remove_tree(parent, "root")
    assert os.listdir(tmp_path) == ["host"]
    assert (host / "file").read_text(encoding="ascii") == "host"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_removing_enters_no_mount(tree: Path, host: Path, tmp_path: Path) -> None:
    """A mount below stops it with an error, and what is mounted there is untouched."""
    (tree / "mounted").mkdir()
    subprocess.run(["mount", "--bind", str(host), str(tree / "mounted")], check=True)
    try:
        with (
            paths.opened(paths.open_directory(str(tmp_path))) as parent,
            pytest.raises(OSError, match="mounted") as caught,
        ):
            paths.remove_tree(parent, "root")
        assert caught.value.errno == errno.EXDEV
        assert (host / "file").read_text(encoding="ascii") == "host"
    finally:
        subprocess.run(["umount", str(tree / "mounted")], check=True)


def test_a_tree_of_any_depth_is_removed(tree: Path) -> None:
    """Deeper than descriptors, Python's stack or PATH_MAX reach."""
    (tree / "deep").mkdir()
    here = os.open(tree / "deep", os.O_RDONLY)
    for _level in range(5000):
        os.mkdir("d", dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    with paths.opened(paths.open_directory(str(tree.parent))) as parent:
        paths.remove_tree(parent, tree.name)
    assert not tree.exists()


def test_a_tree_of_any_width_is_removed_in_little_memory(tree: Path) -> None:
    """Thousands of files and of directories beside each other, some of them with files and directories in them, are
    removed; to read all names at once takes more. (The control: a list of them.)"""
    wide = tree / "wide"
    for number in range(12_000):
        name = wide / f"{number:0200}"
        if number % 3:
            name.parent.mkdir(exist_ok=True)
            name.touch()
        else:
            (name / "deeper" / "down").mkdir(parents=True)
            (name / "file").touch()
    tracemalloc.start()
    try:
        names = os.listdir(wide)
        _now, listed = tracemalloc.get_traced_memory()
        del names
        tracemalloc.reset_peak()
        with paths.opened(paths.open_directory(str(tree))) as parent:
            paths.remove_tree(parent, "wide")
        _now, removed = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not wide.exists()
    assert removed < listed / 3


def test_our_own_directories_have_no_link_on_the_way(tmp_path: Path, tree: Path) -> None:
    """Not even those of the host are followed."""
    (tmp_path / "link").symlink_to(tree)
    with pytest.raises(OSError, match="link") as caught:
        paths.open_directory(str(tmp_path / "link"))
    assert caught.value.errno == errno.ELOOP


def test_contents_are_opened_without_opening_anything_else(tree: Path, root: int) -> None:
    """By an O_PATH descriptor: a regular file is, a FIFO, a directory and a link are not, and nothing waits."""
    os.mkfifo(tree / "fifo")
    (tree / "link").symlink_to("etc/file")
    file = paths.open_beneath(root, "etc/file", os.O_PATH)
    with paths.opened(file), paths.opened(paths.open_content(file)) as content:
        assert os.read(content, 10) == b"guest"
    for name in ("fifo", "link", "etc"):
        found = paths.open_beneath(root, name, os.O_PATH | os.O_NOFOLLOW)
        with paths.opened(found), pytest.raises(OSError, match="not a regular file"):
            paths.open_content(found)


def test_walkers_follow_nothing(tree: Path, root: int, host: Path) -> None:
    """No link on the way, wherever it leads, and no step out of the tree."""
    (tree / "out").symlink_to(host)
    (tree / "in").symlink_to("etc")
    for path, number in (("out/file", errno.ELOOP), ("in/file", errno.ELOOP), ("../host/file", errno.EXDEV)):
        with pytest.raises(OSError, match="openat2") as caught:
            paths.open_beneath(root, path, os.O_PATH)
        assert caught.value.errno == number
    os.close(paths.open_beneath(root, "", os.O_RDONLY | os.O_DIRECTORY))


def test_two_names_change_places(tree: Path, root: int) -> None:
    """Whatever they stand for; a name that is missing is an error and changes nothing."""
    (tree / "plain").write_text("plain", encoding="ascii")
    paths.exchange(root, "plain", "etc")
    assert (tree / "etc").read_text(encoding="ascii") == "plain"
    assert (tree / "plain" / "file").read_text(encoding="ascii") == "guest"
    with pytest.raises(FileNotFoundError):
        paths.exchange(root, "plain", "missing")
    assert (tree / "plain" / "file").exists()
