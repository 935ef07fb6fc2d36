# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopped jails whose trees can be changed, and what hostile ones are after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.tests.integration.support import evidence
from ansible_collections.cellblock.jails.tests.integration.support.calls import module


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host with files that every hostile link below leads to; it has to stay as it is."""
    folder = tmp_path / "canary"
    folder.mkdir()
    for name in ("hostname", "resolv.conf", "null", "file"):
        (folder / name).write_text("host\n", encoding="utf-8")
    before = evidence.files(str(folder))
    yield folder
    assert evidence.files(str(folder)) == before


@pytest.fixture(params=["overlay", "directory"])
def tree(name: str, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A stopped jail, and the directory on the host in which its tree can be changed as its root could."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"], storage=request.param)
    module("jail_state", name=[name], command=["sleep", "1000"], hostname="guest")
    stored = storage.describe(name)
    assert stored is not None
    assert stored.writable is not None
    return name, Path(stored.writable)
