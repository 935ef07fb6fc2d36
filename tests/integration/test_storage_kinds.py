# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of storage on each file system that it is for: a jail lives on it, and leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import btrfs, loop, mounts, paths, process
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import images, recipes, storage, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.backing import image
from ansible_collections.cellblock.jails.tests.integration.support import filesystems, sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    attempt,
    inside,
    jail,
    module,
    pid_of,
    refused,
    shell,
)

SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}
SLEEP: dict[str, Any] = {"command": ["sleep", "100000"], "state": "started"}
PLACES = [
    *(("ext4", kind) for kind in ("overlay", "directory", "image")),
    *(("xfs", kind) for kind in ("overlay", "directory", "image")),
    *(("btrfs", kind) for kind in ("overlay", "directory", "btrfs", "image")),
]

LibOn = Callable[..., str]
Names = Callable[[int], list[str]]


def make(name: str, kind: str, **more: Any) -> None:
    """Make and start a jail."""
    module("jail_rootfs", name=name, storage=kind, **SKELETON, **more)
    module("jail_state", name=[name], **SLEEP)


def image_of(name: str) -> str:
    """The file of a jail of kind ``image``."""
    return image.image(layout.storage(name))


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait for what the kernel does a moment later."""
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def kill(name: str) -> None:
    """End a jail without asking."""
    os.kill(pid_of(name), signal.SIGKILL)
    wait_until(lambda: live.find(name) is None, "it outlives SIGKILL")


def copy(source: object, target: object) -> None:
    """Copy a sparse file."""
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True)


def devices_of_ours() -> dict[str, str]:
    """The loop devices whose file is an image of a jail of these tests."""
    return {device: file for device, file in filesystems.loop_devices().items() if sandbox.PREFIX in file}


def test_every_kind_has_its_places() -> None:
    """A new kind gets a row above."""
    assert {kind for _filesystem, kind in PLACES} == set(storage.KINDS)


@pytest.mark.parametrize(("filesystem", "kind"), PLACES)
def test_a_jail_lives_on_it(lib_on: LibOn, name: str, filesystem: str, kind: str) -> None:
    """Made, started, written to by several users, restarted, and removed: owners on disk count from 0, what was written
    is there again, and afterwards nothing is."""
    lib_on(filesystem)
    make(name, kind)
    assert not module("jail_rootfs", name=name, storage=kind, **SKELETON)["changed"]
    shell(name, "echo of root > /root/file; echo of user > /tmp/file; chown 1000:1001 /tmp/file; chmod 600 /tmp/file")
    shell(name, "mkdir -p /srv/deep/er; ln -s /nowhere /srv/link; rm /etc/nsswitch.conf; touch /usr/bin/new")
    module("jail_state", name=[name], state="restarted")
    assert inside(name, "cat", "/root/file", "/tmp/file") == "of root\nof user\n"
    assert (
        shell(name, "ls /etc/nsswitch.conf 2>/dev/null || readlink /srv/link; stat -c %u:%g /tmp/file")
        == "/nowhere\n1000:1001\n"
    )
    first = live.expect(name).first_id
    assert first
    assert os.stat(f"/proc/{pid_of(name)}/root/tmp/file").st_uid == first + 1000, "the mount is idmapped"
    with storage.own_files(name) as files:
        assert os.stat("root/file", dir_fd=files).st_uid == 0
        assert os.stat("tmp/file", dir_fd=files).st_uid == 1000
        assert paths.read_file(files, "tmp/file") == b"of user\n"
    module("jail_state", name=[name], state="stopped")
    with storage.own_files(name) as files:
        assert os.stat("tmp/file", dir_fd=files).st_gid == 1001
    assert module("jail_rootfs", name=name, state="absent")["changed"]
    assert os.listdir(layout.STORAGE) == []
    assert not sandbox.images_in_use()
    assert not module("jail_rootfs", name=name, state="absent")["changed"]


@pytest.mark.parametrize(("filesystem", "kind"), [("ext4", "image"), ("btrfs", "btrfs")])
def test_set_user_id_works_in_the_jail(lib_on: LibOn, name: str, filesystem: str, kind: str) -> None:
    """The mounts are nosuid for the host only. (su says so when it is not root.)"""
    lib_on(filesystem)
    make(name, kind)
    shell(name, "cp /usr/bin/busybox /su; chmod 755 /su")
    said = jail("exec", "-u", "5", name, "--", "/su", "su", "-c", "true")
    assert b"must be suid" in said.stderr
    shell(name, "chmod 4755 /su")
    said = jail("exec", "-u", "5", name, "--", "/su", "su", "-c", "true")
    assert b"must be suid" not in said.stderr


@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_an_image_is_mounted_for_its_jail_alone(lib_on: LibOn, name: str, way: str) -> None:
    """While the jail runs its file system is in no mount table, the host's or the jail's; when it has ended, in
    whatever way, the kernel has unmounted it and taken the loop device back."""
    lib_on("ext4")
    make(name, "image")
    (device,) = devices_of_ours()
    tables = {mount.source for pid in ("self", "1", str(pid_of(name))) for mount in mounts.mount_table(pid)}
    assert f"/dev/{device}" not in tables
    assert images.is_mounted(image_of(name))
    if way == "stopped":
        module("jail_state", name=[name], state="stopped")
    else:
        kill(name)
    wait_until(lambda: not devices_of_ours(), "the loop device stays")
    module("jail_state", name=[name], state="started")
    assert images.is_mounted(image_of(name))


def test_an_image_is_recovered_by_its_journal(lib_on: LibOn, name: str, tmp_path: Path) -> None:
    """As it was at a power cut, what had been synced is there at the next start."""
    lib_on("ext4")
    make(name, "image")
    shell(name, "echo kept > /srv/file; sync")
    copy(image_of(name), tmp_path / "cut")
    module("jail_state", name=[name], state="stopped")
    wait_until(lambda: not images.is_mounted(image_of(name)), "it is mounted yet")
    copy(tmp_path / "cut", image_of(name))
    state = subprocess.run(["dumpe2fs", "-h", image_of(name)], check=True, capture_output=True, text=True).stdout
    assert "needs_recovery" in state
    module("jail_state", name=[name], state="started")
    assert inside(name, "cat", "/srv/file") == "kept\n"


def test_a_damaged_image_is_mended_where_that_can_be_done(lib_on: LibOn, name: str) -> None:
    """A wrong checksum of block groups, on which the kernel refuses to mount, and errors that it has noted, are mended
    by the next start. Without its superblock the start fails and says what to do, and the image is left as it is."""
    lib_on("ext4")
    make(name, "image")
    shell(name, "echo kept > /srv/file")
    for damage in (lambda path: _overwrite(path, 4096 + 0x1E, b"\0\0"), _note_errors):
        module("jail_state", name=[name], state="stopped")
        wait_until(lambda: not images.is_mounted(image_of(name)), "it is mounted yet")
        damage(image_of(name))
        module("jail_state", name=[name], state="started")
        assert not images.superblock(image_of(name)).errors
        assert inside(name, "cat", "/srv/file") == "kept\n"
    module("jail_state", name=[name], state="stopped")
    wait_until(lambda: not images.is_mounted(image_of(name)), "it is mounted yet")
    _overwrite(image_of(name), 1024, bytes(1024))
    said = refused("jail_state", name=[name], state="started")
    assert f"{image_of(name)} is damaged" in said
    assert f"e2fsck -f {image_of(name)}" in said
    assert not devices_of_ours()
    assert live.find(name) is None


def _overwrite(path: str, offset: int, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(content)


def _note_errors(path: str) -> None:
    subprocess.run(["debugfs", "-w", "-R", "ssv state 2", path], check=True, capture_output=True)
    assert images.superblock(path).errors


def test_an_image_is_attached_once(lib_on: LibOn, tmp_path: Path) -> None:
    """However many ask for it, and also where somebody has done it by hand: two file systems in one file would destroy
    each other. (The kernel itself does attach a file twice.)"""
    path = str(tmp_path / "image")
    (tmp_path / "content").mkdir()
    images.make(path, 64 << 20, None, str(tmp_path / "content"))
    twice = [
        subprocess.run(["losetup", "-f", "--show", path], check=True, capture_output=True, text=True) for _time in "ab"
    ]
    for each in twice:
        subprocess.run(["losetup", "-d", each.stdout.strip()], check=True)
    assert twice[0].stdout != twice[1].stdout

    def attach_and_look() -> None:
        with loop.attached(path, 5) as device:
            assert device == expected
            time.sleep(0.1)

    with loop.attached(path, 5) as expected:
        children = [process.fork(attach_and_look) for _time in range(4)]
        assert [process.wait(pid) for pid in children] == [0] * 4
        with pytest.raises(BlockingIOError), loop.unattached(path, 0.1):
            pass
    assert loop.device_of(path) is None
    foreign = subprocess.check_output(["losetup", "-f", "--show", path], text=True).strip()
    with loop.attached(path, 5) as device:
        assert device == foreign
    with pytest.raises(BlockingIOError), loop.unattached(path, 0.1):
        pass
    subprocess.run(["losetup", "-d", foreign], check=True)
    with loop.unattached(path, 0.1), pytest.raises(BlockingIOError), loop.attached(path, 0.1):
        pass


def test_a_restart_meets_the_old_mount(lib_on: LibOn, name: str) -> None:
    """Restarted again and again: whether the kernel has unmounted the image by then or not, it is used by one file
    system at a time and loses nothing."""
    lib_on("ext4")
    make(name, "image")
    for number in range(10):
        shell(name, f"echo {number} >> /srv/file")
        kill(name)
        module("jail_state", name=[name], state="started")
    assert inside(name, "cat", "/srv/file").split() == [str(number) for number in range(10)]
    module("jail_state", name=[name], state="stopped")
    wait_until(lambda: not images.is_mounted(image_of(name)), "it is mounted yet")
    subprocess.run(["e2fsck", "-f", "-n", image_of(name)], check=True, capture_output=True)


def test_deleted_files_of_an_image_are_given_back(lib_on: LibOn, name: str) -> None:
    """The sparse file takes what is written and becomes small again."""
    lib_on("ext4")
    make(name, "image")
    small = os.stat(image_of(name)).st_blocks * 512
    shell(name, "dd if=/dev/urandom of=/srv/big bs=1M count=50 2>/dev/null; sync")
    assert os.stat(image_of(name)).st_blocks * 512 > small + (50 << 20)
    shell(name, "rm /srv/big; sync")
    wait_until(lambda: os.stat(image_of(name)).st_blocks * 512 < small + (10 << 20), "it stays large")


@pytest.mark.parametrize(("filesystem", "kind"), [("btrfs", "btrfs"), ("ext4", "image")])
def test_clones_share_the_template(lib_on: LibOn, names: Names, filesystem: str, kind: str) -> None:
    """Twenty jails of it take less than a twentieth of as many copies, and each has its own files."""
    lib_on(filesystem)
    given = names(20)
    key = templates.ensure(recipes.parse(SKELETON), _never)
    size = _description(key)["bytes"]
    before = _free(layout.LIB)
    for each in given:
        storage.create(each, kind, key)
    assert before - _free(layout.LIB) < 20 * size / 4
    with storage.own_files(given[0]) as files:
        paths.write_file(files, "here", b"x")
    with storage.own_files(given[1]) as files, pytest.raises(FileNotFoundError):
        paths.read_file(files, "here")
    for each in given:
        storage.remove(each)


def _never(tree: str, job: object) -> int:
    raise AssertionError(f"{job} must not run")


def _description(key: str) -> dict[str, Any]:
    found = templates.describe(key)
    assert found is not None
    return found


def _free(path: str) -> int:
    os.sync()
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def test_snapshots_need_btrfs(lib_on: LibOn, name: str) -> None:
    """Elsewhere the error says what is there and what works."""
    lib_on("ext4")
    said = refused("jail_rootfs", name=name, storage="btrfs", **SKELETON)
    assert f"storage: {layout.LIB} is on ext4" in said
    assert "storage=overlay" in said
    assert os.listdir(layout.STORAGE) == []


def test_a_template_that_lost_its_subvolume(lib_on: LibOn, name: str) -> None:
    """One that was copied from another file system is a plain directory: snapshots of it are refused with advice, other
    kinds take it, and built anew it is a subvolume."""
    lib_on("btrfs")
    key = templates.ensure(recipes.parse(SKELETON), _never)
    copy = f"{layout.template(key)}/copy"
    shutil.copytree(templates.tree(key), copy, symlinks=True)
    with paths.opened(paths.open_directory(layout.template(key))) as folder:
        paths.remove_tree(folder, "root")
    os.rename(copy, templates.tree(key))
    said = refused("jail_rootfs", name=name, storage="btrfs", **SKELETON)
    assert "is no subvolume" in said
    make(name, "overlay")
    module("jail_state", name=[name], state="absent")
    templates.remove(key)
    make(name, "btrfs")


def test_a_host_without_the_programs_says_which(lib_on: LibOn, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """mkfs.ext4 is named with its package."""
    lib_on("ext4")
    key = templates.ensure(recipes.parse(SKELETON), _never)
    monkeypatch.setattr("shutil.which", lambda _program, path: path and None)
    with pytest.raises(JailError, match=r"mkfs\.ext4 is not installed.*e2fsprogs"):
        storage.create(name, "image", key)
    assert os.listdir(layout.STORAGE) == []


def test_directories_of_ours_are_subvolumes_on_btrfs(lib_on: LibOn, name: str) -> None:
    """The trees of templates and what jails write: so jails can be snapshots, and their size can be limited later."""
    lib_on("btrfs")
    module("jail_rootfs", name=name, **SKELETON)
    stored = storage.describe(name)
    assert stored is not None
    for path in (stored.folder, templates.tree(stored.template)):
        with paths.opened(os.open(path, os.O_RDONLY)) as directory:
            assert btrfs.is_subvolume(directory), path


def test_not_even_an_empty_list_is_an_error() -> None:
    """``lib_on`` removes the jails of a test, of which there may be none."""
    assert not attempt("jail_state", name=[], state="absent").get("failed")
