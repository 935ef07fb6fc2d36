# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world that each test of the rootfs layer gets."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.tests.integration.support import mirrors
from ansible_collections.cellblock.jails.tests.integration.support.layer import SmallDisk
from ansible_collections.cellblock.jails.tests.integration.support.processes import children
from ansible_collections.cellblock.jails.tests.integration.support.trees import facts


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty host for each test; and the children of a killed child come to us, so that we see them."""
    places = {
        "LIB": "lib",
        "TEMPLATES": "lib/templates",
        "STORAGE": "lib/jails",
        "SNAPSHOTS": "lib/snapshots",
        "LOCKS": "run/.locks",
        "LOG": "log",
        "BUILD_LOG": "log/build.log",
    }
    with tempfile.TemporaryDirectory(prefix="jails-test-", dir="/var/tmp") as place:
        for name, path in places.items():
            monkeypatch.setattr(layout, name, f"{place}/{path}")
        before = children()
        process.adopt_orphans(True)
        yield Path(place)
        process.adopt_orphans(False)
        assert children() == before, "a test left processes behind"


@pytest.fixture
def small_disk(host: Path) -> Iterator[SmallDisk]:
    """A function that mounts a small ext4 on a directory; its size is in MiB."""
    mounted: list[str] = []

    def make(directory: str, size: int) -> None:
        image = host / f"disk{len(mounted)}.img"
        with open(image, "wb") as file:
            file.truncate(size << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
        os.makedirs(directory, exist_ok=True)
        subprocess.run(["mount", "-o", "loop", str(image), directory], check=True)
        mounted.append(directory)

    yield make
    for directory in mounted:
        subprocess.run(["umount", directory], check=True)


@pytest.fixture
def canary(host: Path) -> Iterator[Path]:
    """Files outside the tree; the fixture sees to it that they are as they were."""
    outside = host / "outside"
    for name in ("hostname", "resolv.conf", "machine-id", "ssh/ssh_host_rsa_key", "apt/sources.list", "archives/x.deb"):
        path = outside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("canary")
    before = facts(outside)
    yield outside
    assert facts(outside) == before


@pytest.fixture
def mirror() -> Iterator[str]:
    """A mirror that answers, and a network to reach it by."""
    with mirrors.reached() as found:
        yield found
