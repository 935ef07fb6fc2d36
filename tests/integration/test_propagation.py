# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts of a jail stay in it, also where the host's mounts are shared, as on every host with systemd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts, namespaces, paths, process
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.syscalls import AT_EMPTY_PATH, syscall
from ansible_collections.cellblock.jails.tests.integration.support.calls import module

_SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}


def _table() -> list[str]:
    return [mount.target for mount in mounts.mount_table()]


def _in_a_namespace_of_its_own(action: Callable[[], None]) -> None:
    def child() -> None:
        namespaces.unshare(namespaces.CLONE_NEWNS)
        action()

    assert process.wait(process.fork(child)) == 0


def _open_tree(directory: int) -> int:
    """A detached copy as the kernel makes it: shared like the mount that it is a copy of."""
    return syscall("open_tree", directory, b"", 1 | AT_EMPTY_PATH)


def test_a_mount_on_a_copy_stays_there(tmp_path: Path) -> None:
    """The trap: a copy of a shared mount hands what is mounted on it to the host. Ours is private."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "place").mkdir()

    def mount_on(copy: int) -> None:
        mounts.make_private()
        with paths.opened(paths.open_directory(str(tmp_path / "place"))) as place:
            mounts.attach(copy, place)
        mounts.attach(mounts.create("tmpfs", {}), copy, "tree")

    before = _table()
    with paths.opened(paths.open_directory(str(tmp_path))) as directory:
        with paths.opened(mounts.clone(directory)) as copy:
            _in_a_namespace_of_its_own(lambda: mount_on(copy))
        assert _table() == before
        with paths.opened(_open_tree(directory)) as copy:
            _in_a_namespace_of_its_own(lambda: mount_on(copy))
    assert [target for target in _table() if target not in before] == [str(tmp_path / "tree")]
    subprocess.run(["umount", tmp_path / "tree"], check=True)


@pytest.mark.parametrize("storage", ["overlay", "directory"])
@pytest.mark.parametrize("userns", ["auto", "host"])
def test_a_running_jail_adds_no_mount_to_the_host(name: str, storage: str, userns: str) -> None:
    """Neither its root nor anything in it shows in the host's mount table, but where its console is kept for the host;
    and that not for longer than it runs."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert any(" shared:" in line and f" {layout.LIB} " in line for line in file)
    module("jail_rootfs", name=name, **_SKELETON, storage=storage)
    before = _table()
    module("jail_state", name=[name], command=["sleep", "100"], userns=userns, state="started")
    assert [target for target in _table() if target not in before] == [layout.console_place(name)]
    assert os.path.isdir(layout.storage(name))
    module("jail_state", name=[name], state="stopped")
    assert _table() == before
