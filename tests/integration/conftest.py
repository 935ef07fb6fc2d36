# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox for all integration tests, and file systems for their storage."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.group import Group
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.tree import Tree
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.tests.integration.support import filesystems, sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt


@pytest.fixture(scope="session", autouse=True)
def _in_the_sandbox(sandboxed: None) -> None:
    """Before the first of them."""


@pytest.fixture
def lib_on() -> Iterator[Callable[..., str]]:
    """A function that puts the collection's storage on a fresh file system, one of :data:`filesystems.KINDS`, until the
    end of the test; gives the file that it lies in. A test is skipped where this kernel cannot mount that.

    Whatever jails there are then are removed first.
    """
    with contextlib.ExitStack() as stack:

        def put(kind: str, mib: int | None = None) -> str:
            try:
                return stack.enter_context(filesystems.mounted(kind, mib=mib))
            except filesystems.UnsupportedError as error:
                pytest.skip(str(error))

        yield put
        attempt("jail_state", name=sandbox.jails(), state="absent")


@pytest.fixture(params=storage.KINDS)
def storage_kind(request: pytest.FixtureRequest, lib_on: Callable[..., str]) -> str:
    """Each kind of storage, on a file system that has it."""
    if request.param == "btrfs":
        lib_on("btrfs")
    return str(request.param)


@pytest.fixture
def unified() -> Iterator[Group]:
    """A group of version 2 of the test's own with a process in it that spins, whatever hierarchy the jails' are in. It
    has no controllers."""
    root = live.hierarchies().unified
    if root is None:
        pytest.skip("no unified cgroup hierarchy is mounted")
    group = Tree(2, dict.fromkeys(("memory", "cpu"), root), root).group("", f"{sandbox.PREFIX}unified")
    os.mkdir(group.directory("memory"))

    def spin() -> None:
        Path(group.directory("memory"), "cgroup.procs").write_text("0", encoding="ascii")
        while True:
            pass

    pid = process.fork(spin)
    try:
        while group.processes() != [pid]:
            time.sleep(0.01)
        yield group
    finally:
        os.kill(pid, 9)
        process.wait(pid)
        os.rmdir(group.directory("memory"))
