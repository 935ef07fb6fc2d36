# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options ``size`` and ``inodes``: held by the kernel, changed while the jail runs, and felt by nobody else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import btrfs, inodeflags, paths, quota
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import bounds, images, storage
from ansible_collections.cellblock.jails.tests.integration.support.calls import actions, inside, module, refused, shell
from ansible_collections.cellblock.jails.tests.integration.support.limited import (
    LIMITED,
    MIB,
    PROJECTS,
    QUOTAS,
    SKELETON,
    SLEEP,
    LibOn,
    Names,
    all_of,
    disk,
    make,
    volume,
    write,
)


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
        for each in chain([file.fileno()], all_of(volume(name))):
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
