# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails of one template share its files: one build for all of them, little disk, and one copy in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import space, staging, storage, templates
from ansible_collections.cellblock.jails.tests.integration.support.calls import inside, module

Names = Callable[[int], list[str]]
_BYTES = 16 << 20
_SLACK = 2 << 20


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Path]:
    """A large file of the host that is copied into a template."""
    path = Path(f"/var/tmp/jails-test-library-{os.getpid()}")
    path.write_bytes(os.urandom(_BYTES))
    yield path
    path.unlink()


def recipe(library: Path, storage_kind: str) -> dict[str, Any]:
    """What both jails of a test are made of."""
    binaries = ["busybox", str(library)]
    return {"method": "skeleton", "binaries": binaries, "storage": storage_kind, "trust_group": "sharing"}


def charged_for_reading(name: str, library: Path) -> int:
    """Bytes that a jail's control group is charged more once the jail has read the file."""
    group = live.group_of(name)
    inside(name, "true")
    before = group.get("memory_used") or 0
    assert inside(name, "wc", "-c", str(library)).split()[0] == str(_BYTES)
    return (group.get("memory_used") or 0) - before


@pytest.mark.parametrize(("kind", "copies"), [("overlay", 1), ("directory", 2)])
def test_a_file_of_the_template_is_in_memory_once(names: Names, library: Path, kind: str, copies: int) -> None:
    """Two jails that read one file of their template have it in the page cache once; the control, two full copies,
    have it twice."""
    jails = names(2)
    made = module("jail_rootfs", jails=[{"name": each, **recipe(library, kind)} for each in jails])
    assert made["changed"]
    module("jail_state", name=jails, command=["sleep", "9999"], state="started")
    for each in jails:
        stored = storage.describe(each)
        assert stored
        for top in (templates.tree(stored.template), stored.writable):
            forget_pages(f"{top}{library}")
    charges = [charged_for_reading(each, library) for each in jails]
    assert sum(charge > _BYTES - _SLACK for charge in charges) == copies, charges
    assert sum(charge < _SLACK for charge in charges) == 2 - copies, charges


def forget_pages(path: str) -> None:
    """Drop what the page cache has of a file, if there is one."""
    if os.path.exists(path):
        staging.sync_filesystem(os.path.dirname(path))
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def test_a_hundred_jails_of_one_template(names: Names, library: Path) -> None:
    """The template is built once, in one call for all; a clone takes less than 64 KiB before it writes."""
    jails = names(100)
    with open(layout.BUILD_LOG, "a+", encoding="utf-8") as log:
        start = log.tell()
        wish = {**recipe(library, "overlay"), "trust_group": "hundred"}
        module("jail_rootfs", jails=[{"name": each, **wish} for each in jails])
        log.seek(start)
        builds = [line for line in log if "I: building" in line]
    assert len(builds) == 1, builds
    stored = [storage.describe(each) for each in jails]
    assert len({each.template for each in stored if each}) == 1
    assert max(space.bytes_below(each.folder) for each in stored if each) < 64 << 10
