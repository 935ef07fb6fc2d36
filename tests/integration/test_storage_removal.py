# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is removed is gone with subvolumes, images, loop devices, quotas and projects, and nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import info, live, purge
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import btrfs, inodeflags, mounts, paths, quota
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, storage, templates
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.bounds import Bounds
from ansible_collections.cellblock.jails.tests.integration.support import evidence, sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, jail, module, pid_of, refused

SLEEP: dict[str, Any] = {"command": ["sleep", "100000"], "state": "started"}
MIB = 1 << 20

LibOn = Callable[..., str]
# What a jail of these kinds has below its root is btrfs itself, with nothing between.
ON_BTRFS = ["btrfs", "directory"]


@pytest.fixture(scope="module")
def request_of(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a program that makes one request of btrfs, see ``subvolume.c``."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("gcc is not installed")
    path = str(tmp_path_factory.mktemp("subvolume") / "subvolume")
    source = Path(__file__).with_name("support") / "subvolume.c"
    subprocess.run([compiler, "-static", "-Wall", "-Wextra", "-Werror", "-O1", "-o", path, str(source)], check=True)
    return path


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that has to stay as it is."""
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "file").write_text("host\n", encoding="utf-8")
    before = evidence.files(str(folder))
    yield folder
    assert evidence.files(str(folder)) == before


def make(name: str, kind: str, *binaries: str, **more: Any) -> None:
    """Make and start a jail."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", *binaries], storage=kind, **more)
    module("jail_state", name=[name], **SLEEP)


def unfiltered(name: str, *words: str) -> str:
    """What a program prints that runs as a jail's root in its user and mount namespace, held by nothing else."""
    command = ["nsenter", "-t", str(pid_of(name)), "-U", "-m", "--", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def subvolumes() -> list[str]:
    """The subvolumes below our directory, by path."""
    lines = subprocess.check_output(["btrfs", "subvolume", "list", layout.LIB], text=True).splitlines()
    return [line.split(" path ")[1] for line in lines]


@pytest.mark.parametrize("kind", ON_BTRFS)
def test_a_jail_makes_no_subvolume(lib_on: LibOn, name: str, request_of: str, kind: str) -> None:
    """By none of the requests that the kernel grants to whoever owns a directory. Else it could write what it wants
    into one, whatever its size, as the control does."""
    lib_on("btrfs")
    make(name, kind, request_of)
    limited = btrfs.knows_simple_quotas()
    if limited:
        module("jail_rootfs", name=name, size="16M")
    for words in (("create", "/", "a"), ("create2", "/", "b"), ("snapshot", "/", "c"), ("snapshot2", "/", "d")):
        assert inside(name, request_of, *words).strip() == "EPERM", words
    assert inside(name, request_of, "freeze", "/").strip() == "EPERM"
    before = len(subvolumes())
    assert unfiltered(name, request_of, "create", "/", "a") == "ok"
    assert unfiltered(name, request_of, "create2", "/", "b") == "ok"
    assert unfiltered(name, request_of, "freeze", "/b") == "ok"
    assert len(subvolumes()) == before + 2
    assert unfiltered(name, request_of, "limit", "/") == "EPERM"
    assert unfiltered(name, request_of, "destroy", "/", "a") == "EPERM"
    if limited:
        fill = ["dd", "if=/dev/urandom", "bs=1M", "count=24", "conv=fsync"]
        assert jail("exec", name, "--", *fill, "of=/file").returncode
        assert not jail("exec", name, "--", *fill, "of=/a/file").returncode


@pytest.mark.parametrize("kind", ON_BTRFS)
def test_subvolumes_in_a_tree_are_removed_with_it(lib_on: LibOn, name: str, request_of: str, kind: str) -> None:
    """Nested in each other and in directories, read-only, and snapshots with the traces of others in them. (The kernel
    removes none that has another in it.)"""
    lib_on("btrfs")
    make(name, kind, request_of)
    before = [each for each in subvolumes() if name not in each]
    for words in (
        *(("create", "/srv", "one"), ("create", "/srv/one", "two"), ("create", "/srv/one/two", "three")),
        *(
            ("create", "/", "frozen"),
            ("create", "/frozen", "inner"),
            ("freeze", "/frozen/inner"),
            ("freeze", "/frozen"),
        ),
        ("snapshot2", "/srv/one", "copy"),
    ):
        assert unfiltered(name, request_of, *words) == "ok", words
    inside(name, "mkdir", "-p", "/srv/one/deep/er", "/srv/one/two/three/deep")
    assert unfiltered(name, request_of, "create", "/srv/one/deep/er", "there") == "ok"
    inside(name, "touch", "/srv/one/deep/er/there/file", "/srv/one/two/three/deep/file")
    if kind == "btrfs":
        assert unfiltered(name, request_of, "freeze", "/") == "ok"
    stored = storage.describe(name)
    assert stored is not None
    parent, child = (stored.folder, "root") if kind == "btrfs" else (f"{stored.folder}/root/srv", "one")
    with paths.opened(os.open(parent, os.O_RDONLY)) as folder, pytest.raises(OSError, match="not empty"):
        btrfs.destroy(folder, child)
    module("jail_state", name=[name], state="absent")
    assert os.listdir(layout.STORAGE) == []
    assert subvolumes() == before


def test_subvolumes_of_any_depth_are_removed(lib_on: LibOn) -> None:
    """More of them in each other than descriptors or Python's stack reach."""
    lib_on("btrfs")
    top = here = os.open(layout.LIB, os.O_RDONLY)
    for _level in range(1200):
        btrfs.create(here, "v")
        deeper = os.open("v", os.O_RDONLY, dir_fd=here)
        os.mkdir("d", dir_fd=deeper)
        inner = os.open("d", os.O_RDONLY, dir_fd=deeper)
        os.close(deeper)
        if here != top:
            os.close(here)
        here = inner
    os.close(here)
    assert len(subvolumes()) > 300  # the program itself does not see all of them
    with paths.opened(top):
        paths.remove_tree(top, "v")
    assert subvolumes() == []


@pytest.mark.parametrize("kind", [*ON_BTRFS, "overlay"])
def test_a_mount_in_the_way_is_never_entered(lib_on: LibOn, name: str, canary: Path, kind: str) -> None:
    """Removal ends with its place, the mount and what is in it stay, and the next attempt goes on. (The kernel itself
    removes a subvolume with a mount in it.)"""
    lib_on("btrfs")
    make(name, kind)
    inside(name, "mkdir", "-p", "/srv/mounted")
    module("jail_state", name=[name], state="stopped")
    stored = storage.describe(name)
    assert stored is not None
    assert stored.writable is not None
    place = f"{stored.writable}/srv/mounted"
    subprocess.run(["mount", "--bind", str(canary), place], check=True)
    try:
        said = refused("jail_rootfs", name=name, state="absent")
        assert f"{stored.folder} cannot be removed" in said
    finally:
        (target,) = [mount.target for mount in mounts.mount_table() if mount.target.startswith(f"{layout.STORAGE}/")]
        subprocess.run(["umount", target], check=True)
    module("jail_state", name=[name], state="absent")
    assert os.listdir(layout.STORAGE) == []


@pytest.mark.parametrize("kind", [*ON_BTRFS, "overlay", "image"])
def test_links_are_not_followed(lib_on: LibOn, name: str, canary: Path, kind: str) -> None:
    """Wherever they lead."""
    lib_on("btrfs")
    make(name, kind)
    for number, target in enumerate((canary, canary / "file", "/", "../../../../../../..", layout.STORAGE)):
        inside(name, "ln", "-s", str(target), f"/srv/{number}")
    module("jail_state", name=[name], state="absent")
    assert os.listdir(layout.STORAGE) == []


@pytest.mark.parametrize(
    ("filesystem", "kind"),
    [
        ("btrfs", "btrfs"),
        ("btrfs", "overlay"),
        ("ext4", "image"),
        ("ext4-prjquota", "overlay"),
        ("xfs-prjquota", "overlay"),
    ],
)
def test_what_a_killed_run_left_goes_with_the_next(lib_on: LibOn, name: str, filesystem: str, kind: str) -> None:
    """Half made and half removed storage, with its limits."""
    lib_on(filesystem)
    if filesystem == "btrfs" and not btrfs.knows_simple_quotas():
        pytest.skip("this kernel has no simple quotas of btrfs")
    key = templates.ensure(recipes.parse({"method": "skeleton", "binaries": ["busybox"]}), _never)
    numbers = []
    for beginning in (".old-", ".new-"):
        storage.create(name, kind, key, Bounds(size=32 * MIB))
        with paths.opened(os.open(layout.storage(name), os.O_RDONLY)) as folder:
            numbers.append(inodeflags.project(folder))
        os.rename(layout.storage(name), os.path.join(layout.STORAGE, beginning + name))
    assert storage.sweep() == [name, name]
    assert os.listdir(layout.STORAGE) == []
    if filesystem == "btrfs":
        assert [each for each in subvolumes() if "jails/" in each] == []
    if filesystem.endswith("prjquota"):
        with paths.opened(os.open(layout.LIB, os.O_RDONLY)) as folder:
            assert all(numbers)
            assert not any(any(quota.usage(folder, number)) for number in numbers)


def _never(tree: str, job: object) -> int:
    raise AssertionError(f"{job} must not run")


@pytest.mark.parametrize("kind", ["btrfs", "image"])
def test_it_is_refused_while_the_jail_runs(lib_on: LibOn, name: str, kind: str) -> None:
    """And the jail goes on."""
    lib_on("btrfs")
    make(name, kind)
    assert "the jail runs" in refused("jail_rootfs", name=name, state="absent")
    assert live.find(name) is not None
    inside(name, "touch", "/srv/file")


@pytest.mark.parametrize(
    ("filesystem", "kind"),
    [*(("btrfs", kind) for kind in ("btrfs", "overlay", "image")), ("ext4", "image"), ("ext4-prjquota", "overlay")],
)
def test_purge_leaves_nothing(
    lib_on: LibOn, name: str, monkeypatch: pytest.MonkeyPatch, filesystem: str, kind: str
) -> None:
    """No file, no subvolume, no loop device, no quota: as it was. Quotas that were on before stay on."""
    lib_on(filesystem)
    if filesystem == "btrfs" and not btrfs.knows_simple_quotas():
        pytest.skip("this kernel has no simple quotas of btrfs")
    # Another test run may have jails and builds on this host, in control groups beside ours.
    monkeypatch.setattr(info, "names", sandbox.jails)
    monkeypatch.setattr(layout, "CGROUP_PARENT", f"{sandbox.PREFIX}none")
    with paths.opened(os.open(layout.LIB, os.O_RDONLY)) as directory:
        for before in (None, btrfs.SIMPLE):
            if filesystem == "btrfs" and before:
                btrfs.enable_simple_quotas(directory)
            make(name, kind, size="32M")
            module("jail_state", name=[name], state="absent")
            purge.purge()
            assert os.listdir(layout.LIB) in ([], ["lost+found"])
            if filesystem == "btrfs":
                assert subvolumes() == []
                assert btrfs.quotas(directory) == before
    assert not sandbox.images_in_use()


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait for what the kernel does a moment later."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_full_quotas_of_a_removed_jail_are_gone(lib_on: LibOn, name: str) -> None:
    """Where the administrator has turned on full ones, no group of a removed subvolume stays."""
    lib_on("btrfs")
    subprocess.run(["btrfs", "quota", "enable", layout.LIB], check=True)
    make(name, "btrfs", size="32M")
    stored = storage.describe(name)
    assert stored is not None
    with paths.opened(os.open(os.path.join(stored.folder, "root"), os.O_RDONLY)) as directory:
        group = f"0/{btrfs.identity(directory)}"
    assert group in _groups()
    subprocess.run(["mount", "-o", "remount,commit=1", layout.LIB], check=True)  # so that it is cleared soon
    module("jail_state", name=[name], state="absent")
    wait_until(lambda: group not in _groups(), "the quota group is left")


def _groups() -> list[str]:
    lines = subprocess.check_output(["btrfs", "qgroup", "show", layout.LIB], text=True).splitlines()
    return [line.split()[0] for line in lines]


def test_a_removed_image_takes_no_space(lib_on: LibOn, name: str) -> None:
    """Its blocks are free when the kernel has let go of it."""
    lib_on("ext4")
    make(name, "image")
    free = os.statvfs(layout.LIB).f_bfree
    inside(name, "dd", "if=/dev/urandom", "of=/srv/file", "bs=1M", "count=50", "conv=fsync")
    assert os.statvfs(layout.LIB).f_bfree < free
    module("jail_state", name=[name], state="absent")
    wait_until(lambda: os.statvfs(layout.LIB).f_bfree >= free, "it takes space yet")
