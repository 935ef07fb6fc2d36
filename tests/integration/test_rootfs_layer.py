# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rootfs layer against the real kernel, as root: builds, copies, kills, full disks, hostile trees.

Some download packages of Debian; where no mirror can be reached, they say so and are skipped.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import files, layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import namespaces, paths, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import (
    buildlog,
    hosttools,
    intree,
    recipes,
    storage,
    templates,
)
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.builder import Job
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.methods import debootstrap, hostapt

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

# The world that each test gets, and what it looks at.


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty host for each test; and the children of a killed child come to us, so that we see them."""
    places = {
        "LIB": "lib",
        "TEMPLATES": "lib/templates",
        "STORAGE": "lib/jails",
        "LOCKS": "run/.locks",
        "LOG": "log",
        "BUILD_LOG": "log/build.log",
    }
    with tempfile.TemporaryDirectory(prefix="jails-test-", dir="/var/tmp") as place:
        for name, path in places.items():
            monkeypatch.setattr(layout, name, f"{place}/{path}")
        process.adopt_orphans(True)
        yield Path(place)
        process.adopt_orphans(False)
        assert not children(), "a test left processes behind"


Action = Callable[[], object]
SmallDisk = Callable[[str, int], None]
SKELETON = recipes.parse({"method": "skeleton", "binaries": ["busybox", "bash"]})


def never(tree: str, job: Job) -> int:
    """For builders that must do without running a program of the tree."""
    raise AssertionError(f"{job.command} must not run")


def children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return "(gone)"


def wait_for_no_children() -> None:
    """Reap all that was orphaned until nobody is left."""
    deadline = time.monotonic() + 5
    while children():
        assert time.monotonic() < deadline, f"still there: {[command_line(pid) for pid in children()]}"
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        time.sleep(0.001)


def in_another_process(action: Action) -> int:
    """Run ``action`` in a process of its own, as a second play would; its pid. It ends with 0 if nothing was raised."""

    def child() -> None:
        action()

    return process.fork(child)


def kill_at_random(action: Action, longest: float) -> bool:
    """Start ``action`` in a process of its own and SIGKILL that one process at a random moment; whether it was hit."""
    pid = in_another_process(action)
    time.sleep(random.uniform(0, longest))
    os.kill(pid, signal.SIGKILL)
    return process.wait(pid) == 128 + signal.SIGKILL


def stored(name: str) -> storage.Storage:
    found = storage.describe(name)
    assert found is not None
    return found


def writable(name: str) -> Path:
    found = stored(name).writable
    assert found is not None
    return Path(found)


def description(key: str) -> dict[str, Any]:
    found = templates.describe(key)
    assert found is not None
    return found


def dot_names(directory: str) -> list[str]:
    return [name for name in os.listdir(directory) if name.startswith(".")] if os.path.isdir(directory) else []


def log_lines() -> list[str]:
    return Path(layout.BUILD_LOG).read_text(encoding="utf-8").splitlines()


@pytest.fixture
def small_disk(host: Path) -> Iterator[SmallDisk]:
    """A function that mounts a small ext4 on a directory; its size is in MiB."""
    mounted: list[str] = []

    def make(directory: str, size: int) -> None:
        image = host / f"disk{len(mounted)}.img"
        with open(image, "wb") as file:
            file.truncate(size << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
        os.makedirs(directory, exist_ok=True)
        subprocess.run(["mount", "-o", "loop", str(image), directory], check=True)
        mounted.append(directory)

    yield make
    for directory in mounted:
        subprocess.run(["umount", directory], check=True)


# Programs of the host.


def test_a_program_gets_a_clean_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    leak = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leak, True)
    script = "env; pwd; umask; echo $$; ls /proc/self/fd; cat; kill -0 $PPID || echo alone; exit 7"
    status, text = hosttools.output_of(["/bin/sh", "-c", script])
    os.close(leak)
    assert status == 7
    lines = text.split("\n")
    environment = {line for line in lines if "=" in line}
    assert {line.partition("=")[0] for line in environment} == {"PATH", "HOME", "LC_ALL", "http_proxy", "PWD"}
    assert lines[len(environment) : len(environment) + 3] == ["/", "0022", "1"]
    # 3 is the directory that ls itself reads
    assert re.search(r"\n0\n1\n2\n3\n(?!4)", text)


def test_a_program_that_cannot_be_started_says_why() -> None:
    status, text = hosttools.output_of(["/nonexistent/program"])
    assert (status, "No such file or directory" in text) == (127, True)


def test_a_signal_counts_as_in_a_shell() -> None:
    assert hosttools.output_of(["/bin/sh", "-c", "sh -c 'kill -9 $$'; exit $?"])[0] == 128 + 9


def test_mounts_of_a_program_are_its_own(host: Path) -> None:
    status, text = hosttools.output_of(["/bin/mount", "-t", "tmpfs", "none", str(host)])
    assert (status, text) == (0, "")
    assert not os.path.ismount(host)


def test_what_a_program_leaves_running_is_gone_when_it_returns(host: Path) -> None:
    mark = host / "mark"
    script = f"for i in 1 2 3; do setsid sh -c 'while :; do echo >> {mark}; done' & done; sleep 0.1; exit 3"
    assert hosttools.output_of(["/bin/sh", "-c", script])[0] == 3
    size = mark.stat().st_size
    time.sleep(0.05)
    assert mark.stat().st_size == size > 0


FOREST = (
    "for i in 1 2 3; do setsid sh -c 'trap \"\" HUP TERM INT; sleep 1000 & while :; do :>$0/$$; done' {} & done; wait"
)


@pytest.mark.parametrize("_attempt", range(20))
def test_killed_we_take_all_descendants_along(host: Path, _attempt: int) -> None:
    """And the lock that we held is free only when the last of them is gone."""

    def work() -> None:
        with files.locked("forest"):
            hosttools.output_of(["/bin/sh", "-c", FOREST.format(host)])

    assert kill_at_random(work, 0.15)
    with files.locked("forest"):
        assert not [pid for pid in children() if "sleep" in command_line(pid) or "trap" in command_line(pid)]
    wait_for_no_children()


def test_killed_guard_takes_all_descendants_along(host: Path) -> None:
    pid = in_another_process(lambda: hosttools.output_of(["/bin/sh", "-c", FOREST.format(host)]))
    while not list(host.glob("[0-9]*")):
        time.sleep(0.01)
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        guard = int(file.read())
    os.kill(guard, signal.SIGKILL)
    process.wait(pid)
    wait_for_no_children()


def test_an_interrupt_ends_the_program_before_it_goes_on(host: Path) -> None:
    """Ctrl-C: what clears up afterwards must not meet a writer."""

    def work() -> None:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            hosttools.output_of(["/bin/sh", "-c", FOREST.format(host)])
        except KeyboardInterrupt:
            os._exit(0 if not children() else 1)
        os._exit(2)

    assert process.wait(in_another_process(work)) == 0


# The log.


def test_every_line_is_marked_and_harmless() -> None:
    with buildlog.recording("one") as log:
        os.write(log.descriptor, b"\x1b[2Jhidden\r\nhalf ")
        os.write(log.descriptor, b"a line\n\n" + b"x" * 5000 + b"\xff\xc2\x9b31m\nend")
    lines = log_lines()
    assert lines[:2] == ["[one] ?[2Jhidden", "[one] half a line"]
    assert lines[-1] == "[one] end"
    assert all(line.startswith("[one] ") and line.isprintable() and len(line) < 2100 for line in lines)
    assert stat.S_IMODE(os.stat(layout.BUILD_LOG).st_mode) == 0o640


def test_two_builds_at_once_keep_their_lines_whole() -> None:
    def write(label: str) -> None:
        with buildlog.recording(label) as log:
            for number in range(500):
                log.note(f"{label} says {number}")

    pids = [in_another_process(partial(write, label)) for label in ("a", "b")]
    assert [process.wait(pid) for pid in pids] == [0, 0]
    lines = log_lines()
    for label in ("a", "b"):
        expected = [f"[{label}] {label} says {number}" for number in range(500)]
        assert [line for line in lines if line.startswith(f"[{label}]")] == expected


def test_the_log_shows_lines_as_they_come() -> None:
    with buildlog.recording("live") as log:
        log.note("now")
        deadline = time.monotonic() + 2
        while "[live] now" not in log_lines():
            assert time.monotonic() < deadline
            time.sleep(0.001)


def test_a_failure_quotes_what_matters() -> None:
    with buildlog.recording("x") as log:
        log.note("I: progress\nE: the cause\nnoise\nlast words")
        error = log.failure("it failed", "do this")
    assert str(error) == (
        "it failed: E: the cause | noise | last words; do this; "
        f"all of it is in {layout.BUILD_LOG}, in lines that begin with [x]"
    )


def test_a_full_disk_in_the_words_of_a_program_is_that_of_a_system_call() -> None:
    with buildlog.recording("x") as log:
        log.note("tar: ./usr: Cannot mkdir: No space left on device")
        error = log.failure("it failed")
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC


# Skeletons.


def test_a_skeleton_runs_confined() -> None:
    key = templates.ensure(SKELETON, never)
    script = "id -u; ls /; echo $((6*7)) | tee /tmp/x; hostname >/dev/null; bash -c 'echo $BASH_VERSION' | cut -c1"
    with paths.opened(os.memfd_create("said")) as said:
        assert build.confine(templates.tree(key), Job(["/bin/sh", "-c", script], said, said)) == 0
        text = os.pread(said, 1 << 16, 0).decode()
    assert text.split() == ["0", *sorted(os.listdir(templates.tree(key))), "42", "5"]
    assert os.stat(f"{templates.tree(key)}/tmp/x").st_uid == 0, "owners on disk begin at 0"


def test_what_a_skeleton_holds() -> None:
    key = templates.ensure(SKELETON, never)
    root = Path(templates.tree(key))
    for name, mode in {"": 0o755, "dev": 0o755, "proc": 0o555, "sys": 0o555, "tmp": 0o1777, "root": 0o700}.items():
        found = os.lstat(root / name)
        assert stat.S_ISDIR(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == mode, name
    assert os.readlink(root / "bin") == "usr/bin"
    assert os.readlink(root / "usr/bin/ls").endswith("/busybox")
    assert not os.path.islink(root / "usr/bin/bash"), "an applet's link must not replace a program that was asked for"
    assert not os.listdir(root / "dev")
    assert (root / "etc/machine-id").read_bytes() == b""
    assert stat.S_IMODE(os.stat(layout.template(key)).st_mode) == 0o700
    assert description(key)["recipe"] == SKELETON
    assert description(key)["key"] == key
    used = int(subprocess.run(["du", "-s", "-B1", str(root)], check=True, capture_output=True).stdout.split()[0])
    assert description(key)["bytes"] == used


def test_a_program_that_the_host_lacks_is_named() -> None:
    recipe = recipes.parse({"method": "skeleton", "binaries": ["no-such-program"]})
    with pytest.raises(JailError, match=r"binaries: the host has no program no-such-program"):
        templates.ensure(recipe, never)
    assert templates.names() == dot_names(layout.TEMPLATES) == []


def test_umask_of_the_caller_does_not_show() -> None:
    before = os.umask(0o077)
    try:
        key = templates.ensure(SKELETON, never)
        storage.create("one", "directory", key)
    finally:
        os.umask(before)
    for root in (Path(templates.tree(key)), writable("one")):
        for name in ("", "usr", "usr/bin", "usr/lib", "var/log"):
            assert stat.S_IMODE(os.stat(root / name).st_mode) == 0o755


# Templates: once, whole, or not at all.


def test_a_template_that_is_there_is_left_alone() -> None:
    key = templates.ensure(SKELETON, never)
    before = os.stat(templates.tree(key)).st_ino
    lines = len(log_lines())
    assert templates.ensure(SKELETON, never) == key
    assert os.stat(templates.tree(key)).st_ino == before
    assert len(log_lines()) == lines


def test_two_at_once_build_once() -> None:
    pids = [in_another_process(lambda: templates.ensure(SKELETON, never)) for _time in range(4)]
    assert [process.wait(pid) for pid in pids] == [0] * 4
    assert len([line for line in log_lines() if "I: building" in line]) == 1
    assert templates.names() == [recipes.key(SKELETON)]


def test_killed_at_any_moment_the_next_build_converges() -> None:
    hits = 0
    for _time in range(40):
        hits += kill_at_random(lambda: templates.ensure(SKELETON, never), 0.2)
        templates.remove(recipes.key(SKELETON))
    wait_for_no_children()
    assert hits > 5
    key = templates.ensure(SKELETON, never)
    assert dot_names(layout.TEMPLATES) == []
    assert set(os.listdir(layout.template(key))) == {"root", "template.json"}
    status, text = hosttools.output_of(["/usr/sbin/chroot", templates.tree(key), "/bin/sh", "-c", "echo whole"])
    assert (status, text) == (0, "whole\n")


def test_sweeping_spares_what_is_being_made() -> None:
    for name in (".new-dead-1", ".old-dead-2", ".new-alive-3"):
        os.makedirs(f"{layout.TEMPLATES}/{name}/root/usr")

    def work() -> None:
        with templates.locked("alive-3"):
            time.sleep(60)

    pid = in_another_process(work)
    try:
        while not os.path.exists(f"{layout.LOCKS}/template-alive-3"):
            time.sleep(0.01)
        time.sleep(0.05)
        assert templates.sweep() == ["dead-1", "dead-2"]
        assert dot_names(layout.TEMPLATES) == [".new-alive-3"]
    finally:
        os.kill(pid, signal.SIGKILL)
        process.wait(pid)
    assert templates.sweep() == ["alive-3"]


def test_a_template_in_use_stays() -> None:
    key = templates.ensure(SKELETON, never)
    storage.create("thin", "overlay", key)
    storage.create("full", "directory", key)
    with pytest.raises(JailError, match="in use by thin;"):
        templates.remove(key)
    storage.remove("thin")
    templates.remove(key)
    templates.remove(key)
    assert templates.names() == []
    assert stored("full").template == key


def test_names_that_would_reach_out_are_refused() -> None:
    for name in ("", ".", "..", "../x", "a/b", ".new-x"):
        with pytest.raises(ValueError, match="cannot be the name"):
            templates.remove(name)


# Storage.


def odd_files(root: Path) -> None:
    """A tree with everything that a copy can lose."""
    os.chown(root, 0, 7)
    os.chmod(root, 0o1775)
    os.makedirs(root / "odd")
    (root / "odd/one").write_bytes(b"linked")
    os.link(root / "odd/one", root / "odd/two")
    os.symlink("/etc/shadow", root / "odd/link")
    os.mkfifo(root / "odd/fifo")
    with socket.socket(socket.AF_UNIX) as unix, paths.opened(paths.open_directory(str(root))) as directory:
        unix.bind(f"/proc/self/fd/{directory}/odd/socket")  # a socket's path is at most 108 characters long
    with open(root / "odd/sparse", "wb") as file:
        file.truncate(64 << 20)
        file.write(b"x")
    (root / "odd/owned").write_bytes(b"")
    os.chown(root / "odd/owned", 1000, 65535)
    os.chmod(root / "odd/owned", 0o6755)
    os.setxattr(root / "odd/owned", "user.note", b"kept")
    os.setxattr(root / "odd/one", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    # An access ACL (acl(5)): version 2; user::rw-, user:1234:r--, group::r--, mask::r--, other::---
    entries = [(1, 6, 0xFFFFFFFF), (2, 4, 1234), (4, 4, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)]
    acl = b"\2\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, bits, who in entries
    )
    os.setxattr(root / "odd/two", "system.posix_acl_access", acl)
    os.utime(root / "odd/one", ns=(10**18, 10**18))


def facts(root: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    inodes: dict[int, str] = {}
    for folder, directories, plain in os.walk(root):
        for name in [".", *directories, *plain]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            xattrs = {
                key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)
            }
            first = inodes.setdefault(status.st_ino, os.path.relpath(path, root)) if status.st_nlink > 1 else None
            found[os.path.relpath(path, root)] = (
                *(status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns),
                *(os.readlink(path) if os.path.islink(path) else None, xattrs),
                *((status.st_size, first) if not stat.S_ISDIR(status.st_mode) else ()),
            )
    return found


def test_a_copy_loses_nothing() -> None:
    key = templates.ensure(SKELETON, never)
    tree = Path(templates.tree(key))
    odd_files(tree)
    storage.create("one", "directory", key)
    found = stored("one")
    assert (found.kind, found.template, found.lower) == ("directory", key, None)
    assert facts(writable("one")) == facts(tree)
    assert os.lstat(f"{writable('one')}/odd/sparse").st_blocks * 512 < 1 << 20
    (writable("one") / "odd/one").write_bytes(b"changed")
    assert (tree / "odd/one").read_bytes() == b"linked"
    assert storage.bytes_used("one") >= description(key)["bytes"]


def test_an_overlay_begins_empty_and_looks_like_the_template() -> None:
    key = templates.ensure(SKELETON, never)
    odd_files(Path(templates.tree(key)))
    storage.create("one", "overlay", key)
    found = stored("one")
    assert (found.kind, found.lower) == ("overlay", templates.tree(key))
    upper, tree = os.stat(writable("one")), os.stat(templates.tree(key))
    assert (upper.st_mode, upper.st_uid, upper.st_gid) == (tree.st_mode, tree.st_uid, tree.st_gid)
    assert os.listdir(writable("one")) == os.listdir(f"{found.folder}/work") == []
    assert storage.names() == ["one"]
    before = storage.bytes_used("one")
    (writable("one") / "data").write_bytes(b"x" * (1 << 20))
    os.link(writable("one") / "data", writable("one") / "again")
    assert storage.bytes_used("one") - before == 1 << 20


def test_storage_that_cannot_be_made() -> None:
    key = templates.ensure(SKELETON, never)
    with pytest.raises(JailError, match="template nothing-00 is not there"):
        storage.create("one", "overlay", "nothing-00")
    storage.create("one", "overlay", key)
    with pytest.raises(JailError, match=r"there is storage in .*/one already"):
        storage.create("one", "directory", key)
    assert stored("one").kind == "overlay"
    assert storage.describe("two") is None
    assert storage.bytes_used("two") == 0
    storage.remove("two")


def test_a_killed_copy_leaves_nothing_that_counts() -> None:
    key = templates.ensure(SKELETON, never)
    for number in range(3000):
        folder = Path(templates.tree(key)) / f"opt/{number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / str(number)).write_bytes(b"x" * 20000)
    expected = facts(templates.tree(key))
    hits = 0
    for _time in range(15):
        hits += kill_at_random(lambda: storage.create("one", "directory", key), 0.25)
        if storage.describe("one"):
            assert facts(writable("one")) == expected
            storage.remove("one")
    assert hits
    wait_for_no_children()
    storage.create("one", "directory", key)
    assert facts(writable("one")) == expected
    assert dot_names(layout.STORAGE) == []


def test_a_killed_removal_is_finished_by_the_next() -> None:
    key = templates.ensure(SKELETON, never)
    for _time in range(10):
        storage.create("one", "directory", key)
        kill_at_random(lambda: storage.remove("one"), 0.02)
        wait_for_no_children()
        assert storage.describe("one") is None or facts(writable("one")) == facts(templates.tree(key))
        storage.remove("one")
        assert os.listdir(layout.STORAGE) == []


# Full disks.


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


# Hostile trees.


@pytest.fixture
def canary(host: Path) -> Iterator[Path]:
    """Files outside the tree; the fixture sees to it that they are as they were."""
    outside = host / "outside"
    for name in ("hostname", "resolv.conf", "machine-id", "ssh/ssh_host_rsa_key", "apt/sources.list", "archives/x.deb"):
        path = outside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("canary")
    before = facts(outside)
    yield outside
    assert facts(outside) == before


def hostile_tree(root: Path, canary: Path) -> None:
    root.mkdir(parents=True)
    up = "/".join([".."] * 20)
    for name in ("proc", "sys", "run"):
        os.symlink(canary, root / name)
    os.mkfifo(root / "dev")
    for folder in ("etc", "var/lib/dbus", "var/lib/systemd", "var/cache/apt"):
        (root / folder).mkdir(parents=True)
    os.symlink(f"{up}{canary}/hostname", root / "etc/hostname")
    os.mkfifo(root / "etc/resolv.conf")
    os.symlink(canary / "machine-id", root / "etc/machine-id")
    os.symlink(canary / "ssh", root / "etc/ssh")
    os.symlink(f"{up}{canary}/apt", root / "etc/apt")
    os.symlink(canary / "archives", root / "var/cache/apt/archives")
    os.symlink("/proc/self/root", root / "var/lib/apt")
    os.symlink(canary, root / "tmp")
    os.symlink("/proc/self/cwd", root / "debootstrap")


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


# debootstrap.

needs_debootstrap = pytest.mark.skipif(not shutil.which("debootstrap"), reason="debootstrap is not installed")


@pytest.fixture
def mirror() -> Iterator[str]:
    """A mirror that answers. The sandbox of the tests has no network; who started them may have one."""
    with namespaces.network_namespace(os.getppid()):
        try:
            found = hostapt.mirror()
            with urllib.request.urlopen(f"{found}/dists/bookworm/InRelease", timeout=10):
                pass
        except (JailError, OSError) as error:
            pytest.skip(f"no mirror of bookworm: {error}")
        yield found


@needs_debootstrap
def test_an_unknown_suite_names_similar_ones() -> None:
    recipe = recipes.parse({"method": "debootstrap", "suite": "bokworm", "mirror": "http://127.0.0.1:9/debian"})
    with pytest.raises(JailError, match=r"suite: .* does not know bokworm; .*bookworm"):
        templates.ensure(recipe, never)


@needs_debootstrap
def test_a_suite_whose_archive_nobody_would_verify_is_refused() -> None:
    recipe = recipes.parse({"method": "debootstrap", "suite": "hoary", "mirror": "http://127.0.0.1:9/ubuntu"})
    with pytest.raises(JailError, match=r"keyring: debootstrap names no keyring for hoary"):
        templates.ensure(recipe, never)


@needs_debootstrap
def test_a_dead_mirror_is_told_with_the_reason() -> None:
    recipe = recipes.parse({"method": "debootstrap", "suite": "bookworm", "mirror": "http://127.0.0.1:9/debian"})
    with pytest.raises(JailError) as caught:
        templates.ensure(recipe, never)
    message = str(caught.value)
    assert "E: Failed getting release file http://127.0.0.1:9/debian/dists/bookworm/Release" in message
    assert "Connection refused" in message
    assert layout.BUILD_LOG in message
    assert os.listdir(layout.TEMPLATES) == []


@needs_debootstrap
@pytest.mark.usefixtures("mirror")
def test_a_signature_by_another_key_is_refused(host: Path) -> None:
    (host / "empty.gpg").write_bytes(b"")
    recipe = recipes.parse({"method": "debootstrap", "suite": "bookworm", "keyring": str(host / "empty.gpg")})
    with pytest.raises(JailError, match="E: Release signed by unknown key"):
        templates.ensure(recipe, never)


@needs_debootstrap
@pytest.mark.usefixtures("mirror")
def test_a_killed_first_stage_leaves_no_process() -> None:
    recipe = recipes.parse({"method": "debootstrap", "suite": "bookworm"})
    for _time in range(4):
        assert kill_at_random(lambda: templates.ensure(recipe, never), 5)
        wait_for_no_children()
    assert templates.sweep() in ([], [recipes.key(recipe)])
    assert os.listdir(layout.TEMPLATES) == []


@needs_debootstrap
def test_debian_is_built_without_mknod_mount_and_network(mirror: str) -> None:
    packages = ["iputils-ping", "nginx-light", "openssh-server"]
    options = {"method": "debootstrap", "suite": "bookworm", "packages": packages}
    key = templates.ensure(recipes.parse(options), build.confine)
    root = Path(templates.tree(key))
    assert owners_on_disk(root) <= set(range(65536))
    for name in ("proc", "sys", "dev", "run", "tmp", "var/cache/apt/archives", "var/lib/apt/lists"):
        assert stat.S_ISDIR(os.lstat(root / name).st_mode)
        assert os.listdir(root / name) == [], name
    assert not any(os.path.lexists(root / name) for name in ("debootstrap", "etc/hostname", "etc/resolv.conf"))
    assert not list((root / "etc/ssh").glob("ssh_host_*"))
    assert (root / "etc/machine-id").read_bytes() == b""
    assert (root / "etc/apt/sources.list").read_text().startswith(f"deb {mirror} bookworm main\n")
    assert os.getxattr(root / "usr/bin/ping", "security.capability")
    # dpkg finds nothing half configured, and the programs run
    with paths.opened(os.memfd_create("said")) as said:
        script = "dpkg --audit; dpkg-query -W -f '${db:Status-Abbrev}\\n' | sort -u; nginx -v"
        assert build.confine(str(root), Job(["/bin/sh", "-c", script], said, said)) == 0
        text = os.pread(said, 1 << 16, 0).decode()
    assert re.fullmatch(r"ii \nnginx version: .*\n", text)

    second = recipes.parse({**options, "trust_group": "other"})
    other = recipes.key(second)
    pid = in_another_process(lambda: templates.ensure(second, build.confine))
    wait_for_line(rf"\[{re.escape(other)}\] I: Configuring", 120)
    os.kill(pid, signal.SIGKILL)
    assert process.wait(pid) == 128 + signal.SIGKILL
    wait_for_no_children()

    lines = len(log_lines())
    with pytest.raises(JailError, match="the second stage of debootstrap ended with status 3"):
        templates.ensure(second, lambda _tree, _job: 3)
    fetched = [line for line in log_lines()[lines:] if "Retrieving" in line]
    assert len(fetched) < 5, "the release and its index: packages come from the cache"
    assert templates.names() == os.listdir(layout.TEMPLATES) == [key]


def wait_for_line(pattern: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not any(re.match(pattern, line) for line in log_lines()):
        assert time.monotonic() < deadline, f"no line {pattern}"
        time.sleep(0.1)


def owners_on_disk(root: Path) -> set[int]:
    return {
        number
        for folder, directories, plain in os.walk(root)
        for name in [*directories, *plain]
        for status in [os.lstat(os.path.join(folder, name))]
        for number in (status.st_uid, status.st_gid)
    }
