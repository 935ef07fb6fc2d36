# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails on file systems that cannot do idmapped mounts: the error says so, and ``userns=host`` is the way out, at a
price that every result names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live, policy
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import capabilities, mounts
from ansible_collections.cellblock.jails.tests.integration.support.calls import (
    inside,
    jail,
    module,
    pid_of,
    refused,
    shell,
)

_SKELETON: dict[str, Any] = {"method": "skeleton", "binaries": ["busybox"]}
_SLEEP: dict[str, Any] = {"command": ["sleep", "100000"]}


@pytest.fixture
def unmapped_storage() -> Iterator[str]:
    """ramfs, which knows no idmapped mounts, in the place of all templates and storage; its name."""
    subprocess.run(["mount", "-t", "ramfs", "none", layout.LIB], check=True)
    try:
        yield "ramfs"
    finally:
        subprocess.run(["umount", layout.LIB], check=True)


def test_a_file_system_that_cannot_is_named_with_the_ways_out(unmapped_storage: str, name: str) -> None:
    """The start fails with the file system's name, its place, and both alternatives; nothing is left, and with the
    alternatives the jail runs there."""
    module("jail_rootfs", name=name, **_SKELETON, storage="directory")
    try:
        message = refused("jail_state", name=[name], **_SLEEP, state="started")
        for text in (unmapped_storage, layout.LIB, "userns=host", "storage=directory"):
            assert text in message
        assert not live.group_of(name).exists()
        assert live.find(name) is None
        result = module("jail_state", name=[name], userns="host", state="started")
        assert result["jails"][name]["degraded"]
        assert inside(name, "echo", "runs") == "runs\n"
    finally:
        module("jail_state", name=[name], state="absent")


@pytest.fixture
def hosted(name: str) -> str:
    """A running jail in the host's user namespace."""
    module("jail_rootfs", name=name, **_SKELETON)
    module("jail_state", name=[name], **_SLEEP, userns="host", state="started")
    return name


def test_what_is_given_up_is_in_every_result(hosted: str) -> None:
    """Each run of jail_state says so, changed or not, in check mode too; with a namespace of its own it does not."""
    for check in (True, False):
        result = module("jail_state", check=check, name=[hosted], state="started")
        (sentence,) = result["jails"][hosted]["degraded"]
        assert sentence.startswith("userns: ")
    result = module("jail_state", name=[hosted], userns="auto", state="restarted")
    assert result["jails"][hosted]["degraded"] == []


def test_its_root_is_the_hosts_with_few_capabilities(hosted: str) -> None:
    """The ids are the host's, which is what is given up; capabilities, filters, namespaces and covers hold as ever."""
    pid = pid_of(hosted)
    assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")
    baseline = f"{capabilities.to_mask(policy.CAPABILITIES):016x}"
    for status in (Path(f"/proc/{pid}/status").read_text(encoding="utf-8"), inside(hosted, "cat", "/proc/self/status")):
        lines = dict(line.split(":", 1) for line in status.splitlines())
        assert [lines[key].strip() for key in ("CapPrm", "CapEff", "CapBnd")] == [baseline] * 3
        assert lines["Seccomp"].strip() == "2"
        assert lines["CapInh"].strip() == lines["CapAmb"].strip() == f"{0:016x}"
    for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    assert shell(hosted, "head -c 9 /proc/kallsyms | wc -c") == "0\n"


def test_the_hosts_sysctls_are_read_only(hosted: str) -> None:
    """Here the jail's root owns the host's sysctls, and only the read-only mount keeps it from writing them."""
    for path in (
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/swappiness",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ):
        if os.path.exists(path):
            before = Path(path).read_text(encoding="ascii")
            done = jail("exec", hosted, "--", "sh", "-c", f"echo x > {path}")
            assert b"Read-only file system" in done.stderr, path
            assert Path(path).read_text(encoding="ascii") == before


def test_its_bound_on_user_namespaces_is_not_the_hosts(hosted: str) -> None:
    """Starting it has not forbidden the host to make user namespaces."""
    subprocess.run(["unshare", "--user", "true"], check=True)


def test_its_mounts_and_links_hold_nothing_of_the_host(hosted: str) -> None:
    """Its mount table is as clean as that of any other jail."""
    table = mounts.mount_table(str(pid_of(hosted)))
    assert {mount.fstype for mount in table} == {"overlay", "tmpfs", "devpts", "mqueue", "proc", "sysfs"}


def test_a_full_copy_is_written_in_place(name: str) -> None:
    """``storage=directory`` has all files in its own directory, with 0-based owners, and is no part of the template."""
    module("jail_rootfs", name=name, **_SKELETON, storage="directory")
    module("jail_state", name=[name], **_SLEEP, state="started")
    shell(name, "echo x > /root/new; chown 7:8 /root/new; rm /etc/hosts")
    root = Path(layout.storage(name)) / "root"
    assert ((root / "root/new").stat().st_uid, (root / "root/new").stat().st_gid) == (7, 8)
    assert (root / "usr/bin/busybox").stat().st_uid == 0
    assert not (root / "etc/hosts").exists()
    assert module("jail_info", name=[name], gather=["size"])["jails"][name]["size"] > 500_000
    module("jail_state", name=[name], state="restarted")
    assert inside(name, "cat", "/root/new") == "x\n"
