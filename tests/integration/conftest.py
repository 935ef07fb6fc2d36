# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox for all integration tests, and jails of busybox."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from ansible_collections.cellblock.jails.tests.integration.support import filesystems, sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, module, nursery

SKELETON = {"method": "skeleton", "binaries": ["busybox"]}
_numbers = count(1)


@pytest.fixture(scope="session", autouse=True)
def sandboxed() -> Iterator[None]:
    """All tests run in the sandbox; after the last one nothing may be left of any jail."""
    if os.geteuid() != 0:
        pytest.skip("only root can make jails")
    place = sandbox.entered()
    try:
        place.__enter__()
    except OSError as error:
        pytest.skip(f"this host does not let us into a mount and a network namespace of our own: {error}")
    ended = signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleaned up as after Ctrl-C
    try:
        # The first call puts the runtime there, so that tests which look for what changed do not see that.
        module("jail_state", name=[f"{sandbox.PREFIX}0"], state="absent")
        yield
        nursery().close()
        sandbox.clear_killed_builds()
        left = {
            "control groups": sandbox.groups(),
            "processes": sandbox.processes(),
            "network devices": sandbox.devices(),
            "mounts": sandbox.mount_points(),
            "loop devices": sandbox.images_in_use(),
        }
        sandbox.clear()
        assert not any(left.values()), f"the tests left behind {left}"
    finally:
        signal.signal(signal.SIGTERM, ended)
        place.__exit__(None, None, None)


@pytest.fixture
def name() -> Iterator[str]:
    """A name for a jail; what bears it at the end is removed."""
    given = f"{sandbox.PREFIX}{next(_numbers)}"
    yield given
    attempt("jail_state", name=[given], state="absent")


@pytest.fixture
def names() -> Iterator[Callable[[int], list[str]]]:
    """Names for several jails."""
    given: list[str] = []

    def more(number: int) -> list[str]:
        fresh = [f"{sandbox.PREFIX}{next(_numbers)}" for _each in range(number)]
        given.extend(fresh)
        return fresh

    yield more
    attempt("jail_state", name=given, state="absent")


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


def make_boxes(given: list[str], **state: Any) -> None:
    """Make and start jails of busybox that sleep."""
    module("jail_rootfs", jails=[{"name": each, **SKELETON} for each in given])
    module("jail_state", name=given, **{"command": ["sleep", "100000"], "state": "started", **state})


@pytest.fixture
def box(name: str) -> str:
    """The name of a running jail of busybox for one test."""
    make_boxes([name])
    return name


@pytest.fixture(scope="module")
def shared_box() -> Iterator[str]:
    """The name of a running jail of busybox for the tests of one file that leave it as it is."""
    given = f"{sandbox.PREFIX}{next(_numbers)}"
    make_boxes([given])
    yield given
    attempt("jail_state", name=[given], state="absent")
