# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of isolation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.cellblock.jails.tests.integration.support import sandbox
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, module
from ansible_collections.cellblock.jails.tests.integration.support.isolated import DEFAULTS, Box


@pytest.fixture(scope="module")
def place(probe: str) -> Iterator[str]:
    """A jail that has the program that makes one system call."""
    name = f"{sandbox.PREFIX}isolation"
    try:
        module("jail_rootfs", name=name, method="skeleton", binaries=["busybox", probe], trust_group="isolation")
        yield name
    finally:
        attempt("jail_state", name=[name], state="absent")


@pytest.fixture
def box(place: str, probe: str) -> Iterator[Box]:
    """The jail, which ends with the test."""
    yield Box(place, probe)
    attempt("jail_state", name=[place], **DEFAULTS, state="stopped")
