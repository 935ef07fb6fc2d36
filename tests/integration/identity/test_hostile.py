# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written into a tree for a jail is written through nobody's links."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import converge, live, rootfs, state, stop
from ansible_collections.cellblock.jails.plugins.module_utils.jail.facet import Facet
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.calls import actions, module, refused, shell
from ansible_collections.cellblock.jails.tests.integration.support.identities import FILES, ONE, SERVER


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host with everything that a hostile link could lead to; it has to stay as it is."""
    top = tmp_path / "canary"
    for path in (
        *(path.lstrip("/") for path in FILES.values()),
        *(
            "etc/hostname",
            "etc/localtime",
            "etc/default/locale",
            "etc/ssh/ssh_host_ed25519_key",
            "etc/ssh/ssh_host_dsa_key",
        ),
        *("etc/apt/sources.list.d/host.list", "usr/share/zoneinfo/Europe/Berlin", "usr/sbin/sshd"),
    ):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text("host\n", encoding="utf-8")
    before = evidence.files(str(top))
    yield top
    assert evidence.files(str(top)) == before


_HOSTILE = (
    "etc",
    "etc/apt",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d",
    "etc/default",
    "etc/default/locale",
    "etc/fstab",
    "etc/hostname",
    "etc/hosts",
    "etc/locale.conf",
    "etc/localtime",
    "etc/machine-id",
    "etc/ssh",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/timezone",
    "root",
    "root/.ssh",
    "root/.ssh/authorized_keys",
    "usr/share/zoneinfo",
    "usr/share/zoneinfo/Europe/Berlin",
)

_WAYS = ("absolute", "climbing", "through-proc", "to-root")

_WISH: dict[str, Any] = {**ONE, "ssh_host_keys": ["ed25519"]}


def _target(canary: Path, place: str, way: str) -> str:
    if way == "to-root":
        return "/"
    prefix = {"absolute": "", "climbing": "/../../../../../../../../../..", "through-proc": "/proc/1/root"}[way]
    return f"{prefix}{canary}/{place}"


def _replace(top: Path, place: str, target: str) -> None:
    path = top / place
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.fixture
def stopped(furnished: str) -> tuple[str, Path]:
    """A stopped jail that has everything, and the directory of the host in which its tree can be changed."""
    shell(furnished, SERVER)
    module("jail_rootfs", name=furnished, **_WISH)
    module("jail_state", name=[furnished], state="stopped")
    found = storage.describe(furnished)
    assert found is not None
    assert found.writable is not None
    return furnished, Path(found.writable)


def converged(facet: Facet, name: str, **options: Any) -> str | None:
    """What the module does for one jail; its error."""
    return converge.converge(facet, [{"name": name, **options}], False)[name].error


@pytest.mark.parametrize("turn", [0, 2])
def test_a_start_writes_through_no_link(stopped: tuple[str, Path], canary: Path, turn: int) -> None:
    """With each of these places a link to its like on the host, in turn, the jail starts, or does not, or starts and
    says what could not be written; nothing of the host is written, removed or taken into the jail. (A program that goes
    by the name gets to the host: the control.)"""
    name, top = stopped
    for number, place in enumerate(_HOSTILE):
        kept = top.with_name("kept")
        subprocess.run(["cp", "-a", "--", top, kept], check=True)
        way = _WAYS[(number + turn) % len(_WAYS)]
        _replace(top, place, _target(canary, place, way))
        if way in ("absolute", "climbing"):
            assert os.path.samefile(top / place, canary / place), place
        before = evidence.files(str(canary))
        assert converged(rootfs.FACET, name, **{**_WISH, "fstab": [f"x /{place} y z 0 0"]}) is None
        error = converged(state.FACET, name, state="started")
        assert evidence.files(str(canary)) == before, (place, way)
        assert error is None or re.match(r"it runs, but|starting failed: /etc", error), (place, way, error)
        if live.find(name) is not None:
            found = shell(name, "cat /root/.ssh/* /etc/fstab /etc/hosts /etc/ssh/* 2>/dev/null || true")
            assert "host\n" not in found.splitlines(keepends=True), (place, way)
            stop.stop_as_desired(name)
        shutil.rmtree(top)
        kept.rename(top)


@pytest.mark.parametrize("turn", [1, 3])
def test_a_live_change_writes_through_no_link(furnished: str, canary: Path, turn: int) -> None:
    """The same, with links made by the jail's root while it runs: each option is written inside or refused by name."""
    shell(furnished, f"{SERVER}; cp -a /etc /etc.kept; cp -a /root /root.kept; cp -a /usr/share /usr/share.kept")
    for number, place in enumerate(_HOSTILE):
        way = _WAYS[(number + turn) % len(_WAYS)]
        target = _target(canary, place, way)
        shell(furnished, f"mkdir -p $(dirname /{place}); rm -rf /{place}; ln -s '{target}' /{place}")
        before = evidence.files(str(canary))
        errors = [converged(rootfs.FACET, furnished, **{option: value}) for option, value in _WISH.items()]
        for error in filter(None, errors):
            assert re.match(r"/(etc|root)|package_sources: its|timezone: its", error), (place, way, error)
        assert evidence.files(str(canary)) == before, (place, way)
        shell(furnished, "for place in etc root usr/share; do rm -rf /$place; cp -a /$place.kept /$place; done")
    assert converged(rootfs.FACET, furnished, **_WISH) is None
    assert not module("jail_rootfs", name=furnished, **_WISH)["changed"]


def test_what_is_no_file_is_replaced_or_named(furnished: str) -> None:
    """A FIFO that nobody writes to hangs nobody, and a directory is named; a huge file costs a bounded read."""
    for path in ("/etc/fstab", "/etc/hosts", "/root/.ssh/authorized_keys", "/etc/machine-id"):
        shell(furnished, f"mkdir -p /root/.ssh; rm -rf {path}; mkfifo {path}")
    module("jail_rootfs", name=furnished, **ONE)
    assert not module("jail_rootfs", name=furnished, **ONE)["changed"]
    shell(furnished, "rm /etc/fstab; mkdir -p /etc/fstab/full; head -c 30000000 /dev/zero > /etc/hosts")
    message = refused("jail_rootfs", name=furnished, fstab=ONE["fstab"])
    assert "/etc/fstab cannot be written" in message
    assert actions(module("jail_rootfs", name=furnished, hosts=[]), furnished)[0][2] == []
    module("jail_rootfs", name=furnished, package_sources=[])
    shell(furnished, "cd /etc/apt/sources.list.d; i=0; while [ $i -lt 3000 ]; do : > $i.list; i=$((i+1)); done")
    before = actions(module("jail_rootfs", check=True, name=furnished, package_sources=[]), furnished)[0][1]
    assert len(before) == 1000
