# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees that change while the host works on them."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import mounts, paths
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, inside, module
from ansible_collections.cellblock.jails.tests.integration.support.swaps import swapping


@contextlib.contextmanager
def swapped(folder: Path, name: str, target: Path) -> Iterator[None]:
    """A directory and a link to ``target`` take each other's place under a name for a ``with`` block; then the
    directory is there again."""
    (folder / "link").symlink_to(target)
    try:
        with swapping(folder / name, folder / "link"):
            yield
    finally:
        if (folder / name).is_symlink():
            (folder / name).unlink()
            os.rename(folder / "link", folder / name)
        else:
            (folder / "link").unlink()


def within(seconds: float, fact: Callable[[], bool]) -> bool:
    """Whether it comes true, tried over and over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if fact():
            return True
    return False


@pytest.fixture
def copied(name: str) -> tuple[str, Path]:
    """A stopped jail with a tree of its own, which may be changed while it runs."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"], storage="directory")
    module("jail_state", name=[name], command=["sleep", "1000"], hostname="guest")
    stored = storage.describe(name)
    assert stored is not None
    assert stored.writable is not None
    return name, Path(stored.writable)


def test_a_directory_swapped_for_a_link_while_the_host_writes(
    copied: tuple[str, Path], canary: Path, tmp_path: Path
) -> None:
    """/etc is a directory of the jail at one moment and a link to the host's at the next, while the host sets the name
    servers again and again: every write stays inside, or is refused. (Who looks first and then writes by name is led
    out.)"""
    name, top = copied
    decoy = tmp_path / "decoy"
    decoy.mkdir()

    def led_out() -> bool:
        if not (top / "etc").is_symlink():
            (top / "etc/control").touch()
        return (decoy / "control").exists()

    with swapped(top, "etc", decoy):
        assert within(20, led_out), "the control was never led out"
    module("jail_state", name=[name], state="started")
    with swapped(top, "etc", canary):
        results = [attempt("jail_net", name=name, dns=[f"192.0.2.{number}"]) for number in range(1, 30)]
    assert not all(result.get("failed") for result in results)
    module("jail_net", name=name, dns=["192.0.2.99"])
    assert inside(name, "cat", "/etc/resolv.conf") == "nameserver 192.0.2.99\n"


def test_a_mount_point_swapped_for_a_link_during_a_start(
    copied: tuple[str, Path], canary: Path, tmp_path: Path
) -> None:
    """/proc is a directory at one moment and a link to a directory of the host at the next, while the jail is started
    again and again: it has its own /proc then, or the start is refused with a sentence; nothing is mounted on the
    host's directory. (A mount by name, after a look, lands there.)"""
    name, top = copied
    decoy = tmp_path / "decoy"
    decoy.mkdir()

    def led_out() -> bool:
        if not (top / "proc").is_symlink():
            subprocess.run(["mount", "-t", "tmpfs", "none", top / "proc"], check=False, capture_output=True)
        landed = os.path.ismount(decoy)
        for target in _mounted_below(tmp_path) + _mounted_below(top):
            subprocess.run(["umount", target], check=True)
        return landed

    with swapped(top, "proc", decoy):
        assert within(20, led_out), "the control was never led out"
    for _time in range(12):
        with swapped(top, "proc", canary):
            result = attempt("jail_state", name=[name], state="started")
        if result.get("failed"):
            assert "/proc" in result["msg"]
        else:
            assert inside(name, "readlink", "/proc/self/exe") == "/usr/bin/busybox\n"
        module("jail_state", name=[name], state="stopped")
        assert _mounted_below(tmp_path) == _mounted_below(top) == []


def _mounted_below(place: Path) -> list[str]:
    return [mount.target for mount in mounts.mount_table() if mount.target.startswith(f"{place}/")]


def test_devices_and_sockets_in_place_of_files(copied: tuple[str, Path]) -> None:
    """A device that never ends, and a socket, where the host reads and writes, are replaced. (Who reads the device by
    name reads on for ever.)"""
    name, top = copied
    os.mknod(top / "etc/hostname", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as unix, paths.opened(os.open(top / "etc", os.O_PATH)) as folder:
        unix.bind(f"/proc/self/fd/{folder}/resolv.conf")
    with open(top / "etc/hostname", "rb") as endless:
        assert len(endless.read(10_000_000)) == 10_000_000
    module("jail_net", name=name, dns=["192.0.2.1"])
    module("jail_state", name=[name], state="started")
    assert inside(name, "cat", "/etc/hostname", "/etc/resolv.conf") == "guest\nnameserver 192.0.2.1\n"
