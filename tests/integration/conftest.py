# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox for all integration tests, and file systems for their storage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

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
