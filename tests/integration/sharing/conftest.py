# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of sharing again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.tests.integration.support.fulltrees import Disk, LibOn, Names, make_jails
from ansible_collections.cellblock.jails.tests.integration.support.upgrades import NEW, OLD, make_upgraded


@pytest.fixture
def cleared(name: str) -> Iterator[None]:
    """No template of :mod:`upgrades` outlives a test."""
    yield
    storage.remove(name)
    for key in (OLD, NEW):
        shutil.rmtree(layout.template(key), ignore_errors=True)


@pytest.fixture
def upgraded(name: str) -> str:
    """A stopped jail that has upgraded itself to what the new template has."""
    return make_upgraded(name)


@pytest.fixture(params=["btrfs", "xfs"])
def disk(request: pytest.FixtureRequest, lib_on: LibOn) -> Disk:
    """A file system on which files can share content."""
    lib_on(request.param, 512)
    return str(request.param)


@pytest.fixture
def jails(disk: Disk, names: Names) -> Iterator[list[str]]:
    """Three of them."""
    given = names(3)
    make_jails(given)
    yield given
    for name in given:
        storage.remove(name)
