# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options ``size`` and ``inodes``: held by the kernel, changed while the jail runs, and felt by nobody else."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import (
    btrfs,
    inodeflags,
    namespaces,
    paths,
    process,
    quota,
)
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import bounds, images, projects, storage
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.backing import image
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    actions,
    inside,
    jail,
    module,
    refused,
    shell,
)

SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}
SLEEP: dict[str, Any] = {"command": ["sleep", "100000"], "state": "started"}
LIMITED = [
    *(("btrfs", kind) for kind in ("overlay", "directory", "btrfs", "image")),
    *(("ext4-prjquota", kind) for kind in ("overlay", "directory")),
    *(("xfs-prjquota", kind) for kind in ("overlay", "directory")),
    *((filesystem, "image") for filesystem in ("ext4", "xfs")),
]
QUOTAS = [place for place in LIMITED if place[1] != "image"]
PROJECTS = [place for place in LIMITED if place[0].endswith("prjquota")]
MIB = 1 << 20

LibOn = Callable[..., str]
Names = Callable[[int], list[str]]


@pytest.fixture
def lib(lib_on: LibOn) -> Callable[[str], None]:
    """A function that puts storage on a file system where limits work, or skips the test with the reason."""

    def put(filesystem: str) -> None:
        lib_on(filesystem)
        if filesystem == "btrfs" and not btrfs.knows_simple_quotas():
            pytest.skip("this kernel has no simple quotas of btrfs")

    return put


def make(name: str, kind: str, **more: Any) -> None:
    """Make and start a jail."""
    module("jail_rootfs", name=name, storage=kind, **SKELETON, **more)
    module("jail_state", name=[name], **SLEEP)


def write(name: str, mib: int, path: str = "/srv/file") -> bool:
    """Have a jail write a file; whether all of it was taken."""
    done = jail("exec", name, "--", "dd", "if=/dev/urandom", f"of={path}", "bs=1M", f"count={mib}", "conv=fsync")
    if done.returncode:
        assert b"No space left" in done.stderr or b"quota exceeded" in done.stderr, done.stderr
    return not done.returncode


def disk(name: str) -> dict[str, Any]:
    """What ``jail_info`` says of its disk, with all that was written counted."""
    subprocess.run(["sync", "-f", layout.LIB], check=True)
    found = module("jail_info", name=[name], gather=["disk", "rootfs", "size"])["jails"][name]
    assert found["size"] == found["disk"]["bytes"] or found["disk"]["bytes"] is None
    return {**found["disk"], "size": found["rootfs"].get("size"), "inodes_option": found["rootfs"].get("inodes")}


def volume(name: str) -> str:
    """The directory of a jail that its file system limits."""
    stored = storage.describe(name)
    assert stored is not None
    return os.path.join(stored.folder, "root") if stored.kind == "btrfs" else stored.folder


@pytest.mark.parametrize(("filesystem", "kind"), LIMITED)
def test_a_full_jail_harms_nobody(lib: Callable[[str], None], names: Names, filesystem: str, kind: str) -> None:
    """One that writes until nothing more is taken has no more than its size; its neighbour of the same template and the
    host write on meanwhile, and it can delete and write again."""
    lib(filesystem)
    full, neighbour = names(2)
    for each in (full, neighbour):
        make(each, kind, size="48M")
    filling = "while dd if=/dev/urandom of=/srv/$((i=i+1)) bs=1M count=4; do :; done; echo full > /run/end"
    with subprocess.Popen([layout.COMMAND, "exec", full, "--", "sh", "-c", filling], stderr=subprocess.DEVNULL) as busy:
        for number in range(4):
            assert write(neighbour, 2, f"/srv/{number}")
        with open(f"{layout.LIB}/host", "wb") as file:
            file.write(os.urandom(8 * MIB))
            os.fsync(file.fileno())
        assert busy.wait(60) == 0
    assert inside(full, "cat", "/run/end") == "full\n"
    assert not write(full, 4)
    assert 30 * MIB < disk(full)["bytes"] <= 48 * MIB
    assert disk(neighbour)["bytes"] < 24 * MIB
    assert disk(full)["bytes_max"] == 48 * MIB
    assert write(neighbour, 2, "/srv/5")
    shell(full, "rm /srv/*; sync")
    assert write(full, 20)


def test_without_a_limit_a_full_jail_does_harm_others(lib_on: LibOn, names: Names) -> None:
    """The control: the disk is everybody's then."""
    lib_on("ext4", 64)
    full, neighbour = names(2)
    for each in (full, neighbour):
        make(each, "overlay")
    assert not write(full, 80)
    assert not write(neighbour, 2)
    with pytest.raises(OSError, match="No space left"):
        Path(layout.LIB, "host").write_bytes(bytes(8 * MIB))
    shell(full, "rm /srv/file")


@pytest.mark.parametrize(("filesystem", "kind"), [("ext4", "image"), ("btrfs", "overlay"), *PROJECTS])
def test_the_hosts_user_namespace_makes_no_difference(
    lib: Callable[[str], None], name: str, filesystem: str, kind: str
) -> None:
    """Also where the jail's root is the host's: it has not the capability that lets one write beyond a quota."""
    lib(filesystem)
    module("jail_rootfs", name=name, storage=kind, size="32M", **SKELETON)
    module("jail_state", name=[name], userns="host", **SLEEP)
    assert not write(name, 48)
    assert disk(name)["bytes"] <= 32 * MIB
    shell(name, "rm /srv/file; sync")
    assert write(name, 16)


@pytest.mark.parametrize("kind", ["overlay", "directory"])
@pytest.mark.parametrize("userns", ["host", "auto"])
def test_no_jail_takes_its_files_out_of_the_account(
    lib_on: LibOn, name: str, probe: str, kind: str, userns: str
) -> None:
    """Its root owns its directories, and the kernel lets an owner in the host's user namespace say to which project a
    file belongs, and that a directory hands none on. (It lets root of the host do both.)"""
    lib_on("xfs")
    module("jail_rootfs", name=name, storage=kind, method="skeleton", binaries=["busybox", probe])
    module("jail_state", name=[name], userns=userns, **SLEEP)
    shell(name, "mkdir /srv/a")
    folder = f"{layout.storage(name)}/{'upper' if kind == 'overlay' else 'root'}/srv/a"
    with paths.opened(os.open(folder, os.O_RDONLY)) as directory:
        inodeflags.set_project(directory, projects.FIRST)
    attacks = [("setproject", "/srv/a", "0"), ("clearflags", "/srv/a", "0x20000000")]  # FS_PROJINHERIT_FL
    for attack in attacks:
        assert inside(name, probe, *attack) in ("EPERM\n", "EINVAL\n")
        shell(name, "touch /srv/a/file")
        with paths.opened(os.open(f"{folder}/file", os.O_RDONLY)) as file:
            assert inodeflags.project(file) == projects.FIRST
        shell(name, "rm /srv/a/file")
    for call, _path, number in reversed(attacks):
        assert subprocess.run([probe, call, folder, number], check=True, capture_output=True).stdout == b"ok\n"


@pytest.mark.parametrize(("filesystem", "kind"), QUOTAS)
def test_it_is_changed_while_the_jail_runs(lib: Callable[[str], None], name: str, filesystem: str, kind: str) -> None:
    """Upward and downward; less than it uses is refused with the figures, also in check mode; what somebody else has
    changed is put back; what holds already is no change."""
    lib(filesystem)
    make(name, kind)
    assert disk(name)["bytes_max"] is None
    result = module("jail_rootfs", name=name, size="16M")
    assert actions(result, name) == [("size", "unlimited", "16M", "storage")]
    assert not result["jails"][name]["restart_required"]
    assert not write(name, 24)
    assert not module("jail_rootfs", name=name, size="16M")["changed"]
    assert actions(module("jail_rootfs", name=name, size="32M"), name) == [("size", "16M", "32M", "storage")]
    assert write(name, 24)
    disk(name)
    for check in (True, False):
        said = refused("jail_rootfs", name=name, size="20M", check=check)
        assert "size: it uses 2" in said
        assert "more than 20M" in said
    assert disk(name)["bytes_max"] == 32 * MIB
    bounds.bind(volume(name), bounds.Bounds())  # by another hand
    assert module("jail_rootfs", name=name, size="32M", check=True)["changed"]
    assert disk(name)["bytes_max"] is None
    assert actions(module("jail_rootfs", name=name, size="32M"), name) == [("size", "unlimited", "32M", "storage")]
    bounds.bind(volume(name), bounds.Bounds())
    module("jail_state", name=[name], state="restarted")
    assert disk(name)["bytes_max"] == 32 * MIB, "a start makes it hold"
    assert disk(name)["size"] == "32M"
    assert actions(module("jail_rootfs", name=name, size="unlimited"), name) == [
        ("size", "32M", "unlimited", "storage")
    ]
    assert write(name, 40)


@pytest.mark.parametrize(("filesystem", "kind"), PROJECTS)
def test_inodes(lib: Callable[[str], None], name: str, filesystem: str, kind: str) -> None:
    """Limited like bytes where projects are counted."""
    lib(filesystem)
    make(name, kind, size="64M")
    present = disk(name)["inodes"]
    module("jail_rootfs", name=name, inodes=present + 200)
    making = "(i=0; while [ $i -lt 300 ] && true > /srv/$i; do i=$((i+1)); done; echo $i) 2>/dev/null"
    assert int(shell(name, making)) in range(190, 201)
    assert disk(name)["inodes"] == disk(name)["inodes_max"] == present + 200
    assert f"inodes: it uses {present + 200} inodes already" in refused("jail_rootfs", name=name, inodes=50)
    result = module("jail_rootfs", name=name, inodes=present + 400)
    assert actions(result, name) == [("inodes", str(present + 200), str(present + 400), "storage")]
    assert disk(name)["bytes_max"] == 64 * MIB
    assert int(shell(name, making)) == 300


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


@pytest.mark.parametrize("kind", ["overlay", "directory"])
@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_where_nothing_limits_it_the_error_says_what_would(
    lib_on: LibOn, name: str, filesystem: str, kind: str
) -> None:
    """On this very host: a mount option is named only if this kernel takes it. Check mode says the same."""
    lib_on(filesystem)
    said = refused("jail_rootfs", name=name, storage=kind, size="1G", **SKELETON)
    assert f"size: the {filesystem} file system of {layout.LIB} does not limit it" in said
    assert "storage=image" in said
    works = images.project_quotas_work() if filesystem == "ext4" else quota.xfs_can()
    assert ("prjquota" in said) == works
    assert os.listdir(layout.STORAGE) == []
    module("jail_rootfs", name=name, storage=kind, **SKELETON)
    for option, value in (("size", "1G"), ("inodes", "1000")):
        for check in (True, False):
            said = refused("jail_rootfs", name=name, check=check, **{option: value})
            assert f"{option}: the {filesystem} file system" in said
    assert not module("jail_rootfs", name=name, size="unlimited")["jails"][name]["restart_required"]


def test_what_is_probed_can_be_mounted(lib_on: LibOn) -> None:
    """The probe for project quotas of ext4 agrees with a real mount."""
    if not images.project_quotas_work():
        pytest.skip("this kernel has no project quotas of ext4")
    lib_on("ext4-prjquota")
    with paths.opened(os.open(layout.LIB, os.O_RDONLY)) as directory:
        assert quota.counts(directory)
        assert quota.enforces(directory)


def test_inodes_are_refused_on_btrfs(lib_on: LibOn, name: str) -> None:
    """With what can be had instead."""
    lib_on("btrfs")
    said = refused("jail_rootfs", name=name, inodes=1000, **SKELETON)
    assert "inodes: btrfs does not count inodes" in said
    assert "storage=image" in said


def test_btrfs_without_simple_quotas(lib_on: LibOn, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an older kernel the error says so; full quotas that somebody has turned on are used."""
    lib_on("btrfs")
    module("jail_rootfs", name=name, **SKELETON)
    with monkeypatch.context() as patched:
        patched.setattr(btrfs, "knows_simple_quotas", lambda: False)
        with pytest.raises(JailError, match=r"no simple ones.*storage=image.*btrfs quota enable"):
            storage.bind(name, bounds.Bounds(size=16 * MIB))
        subprocess.run(["btrfs", "quota", "enable", layout.LIB], check=True)
        storage.bind(name, bounds.Bounds(size=16 * MIB))
    module("jail_state", name=[name], **SLEEP)
    assert not write(name, 24)
    assert module("jail_info", name=[name])["jails"][name]["disk"]["bytes_max"] == 16 * MIB


@pytest.mark.parametrize(("filesystem", "kind"), PROJECTS)
def test_a_jail_from_before_the_quotas(lib: Callable[[str], None], name: str, filesystem: str, kind: str) -> None:
    """Its files become a project's when it does not run: before its next start, or at once if it is stopped; however
    deep they lie, and no link is followed."""
    lib(filesystem)
    make(name, kind)
    deep = "cd /srv; i=0; while [ $i -lt 900 ]; do mkdir dddddddddd; cd dddddddddd; i=$((i+1)); done; echo x > file"
    shell(name, deep)
    shell(name, f"ln -s {layout.LIB}/host /srv/link; mkfifo /srv/fifo")
    assert write(name, 10, "/srv/file")
    with open(f"{layout.LIB}/host", "w", encoding="ascii") as file:
        for each in chain([file.fileno()], _all_of(volume(name))):
            inodeflags.set_project(each, 0)
        result = module("jail_rootfs", name=name, size="16M")
        assert actions(result, name) == [("size", "unlimited", "16M", "record")]
        assert result["jails"][name]["restart_required"] == ["size"]
        assert write(name, 10, "/srv/more")
        shell(name, "rm /srv/more")
        module("jail_state", name=[name], state="restarted")
        assert 10 * MIB < disk(name)["bytes"] < 16 * MIB
        assert not write(name, 10, "/srv/more")
        assert inodeflags.project(file.fileno()) == 0
    module("jail_state", name=[name], state="absent")
    assert os.listdir(layout.STORAGE) == []


def _all_of(directory: str) -> Iterator[int]:
    with paths.opened(os.open(directory, os.O_RDONLY)) as top:
        yield from projects._below(top)
        yield top


@pytest.mark.parametrize("filesystem", ["ext4-prjquota", "xfs-prjquota"])
def test_project_numbers(lib: Callable[[str], None], names: Names, filesystem: str, tmp_path: Path) -> None:
    """Each jail has one of its own, from its beginning; those that the host's administrator has named or used are left
    alone; and a jail that is gone has left none."""
    lib(filesystem)
    given = names(3)
    for each in given:
        module("jail_rootfs", name=each, **SKELETON)
    numbers = [_number(each) for each in given]
    assert len(set(numbers)) == 3
    assert all(projects.is_ours(number) for number in numbers)
    module("jail_rootfs", name=given[0], size="16M")
    module("jail_state", name=given, state="absent")
    with paths.opened(os.open(layout.LIB, os.O_RDONLY)) as directory:
        assert not any(any(quota.usage(directory, number)) for number in numbers)
        # The number that the first would get again is taken by somebody else now.
        quota.set_limits(directory, numbers[0], 1 << 30, None)
        module("jail_rootfs", name=given[0], **SKELETON)
        assert _number(given[0]) != numbers[0]
        quota.set_limits(directory, numbers[0], None, None)
        for path, line in (("/etc/projid", f"backups:{numbers[1]}\n"), ("/etc/projects", f"{numbers[1]}:/srv\n")):
            with _covered(path, line, tmp_path):
                module("jail_rootfs", name=given[1], **SKELETON)
                assert _number(given[1]) != numbers[1]
                module("jail_state", name=[given[1]], state="absent")


def _number(name: str) -> int:
    with paths.opened(os.open(volume(name), os.O_RDONLY)) as directory:
        return inodeflags.project(directory)


@contextlib.contextmanager
def _covered(path: str, text: str, folder: Path) -> Iterator[None]:
    """Have a file of the host say something else, for a ``with`` block."""
    other = folder / os.path.basename(path)
    other.write_text(text, encoding="ascii")
    missing = not os.path.exists(path)
    if missing:
        Path(path).touch()
    subprocess.run(["mount", "--bind", str(other), path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)
        if missing:
            os.unlink(path)


@pytest.mark.parametrize("filesystem", ["ext4-prjquota", "xfs-prjquota"])
def test_a_jail_cannot_leave_its_project(lib: Callable[[str], None], name: str, filesystem: str) -> None:
    """Not even its root without any filter of system calls: the kernel lets no user namespace change the project of a
    file. The host's root can, and what he moves out is not counted."""
    lib(filesystem)
    make(name, "directory", size="16M")
    shell(name, "mkdir /srv/out")
    number = _number(name)

    def leave() -> None:
        with paths.opened(os.open("/srv/out", os.O_RDONLY)) as directory:
            assert inodeflags.project(directory) == number
            inodeflags.set_project(directory, 0)

    assert _as_root_of(name, leave) == errno.EINVAL
    assert not write(name, 20, "/srv/out/file")
    shell(name, "rm /srv/out/file")
    with paths.opened(os.open(os.path.join(volume(name), "root/srv/out"), os.O_RDONLY)) as directory:
        inodeflags.set_project(directory, 0)
    assert write(name, 20, "/srv/out/file")


def _as_root_of(name: str, action: Callable[[], None]) -> int:
    """Do something as the root of a jail's user and mount namespace, confined by nothing else; the number of the error
    that it met with, or 0."""
    pid = live.expect(name).pid

    def child() -> None:
        kinds = ("user", "mnt")
        for kind, descriptor in [(kind, namespaces.open_namespace(pid, kind)) for kind in kinds]:
            namespaces.setns(descriptor, namespaces.KINDS[kind])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        try:
            action()
        except OSError as error:
            os._exit(error.errno or 255)

    return process.wait(process.fork(child))
