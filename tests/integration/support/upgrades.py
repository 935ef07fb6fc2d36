# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An overlay that was upgraded to what a newer template has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import storage
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing import rebase
from ansible_collections.cellblock.jails.tests.integration.support import overlays
from ansible_collections.cellblock.jails.tests.integration.support.operations import TIMES

OLD, NEW = "test-old", "test-new"


def moved(name: str, template: str = NEW) -> rebase.Tally:
    """Move a jail's overlay."""
    with rebase.lowers_of(name, template) as pair:
        expected = rebase.survey(name, pair)
        tally = rebase.move(name, template, pair)
    assert tally == expected.tally
    return tally


def two_templates(old: Callable[[Path], object], new: Callable[[Path], object]) -> None:
    """A template and the one that came after it."""
    overlays.make_template(OLD, lambda tree: old(Path(tree)), "2026-01-01T00:00:00+00:00")
    overlays.make_template(NEW, lambda tree: new(Path(tree)), "2026-02-01T00:00:00+00:00")


def put(tree: Path, path: str, content: bytes = b"x" * 100_000, mode: int = 0o644) -> None:
    """A file with a time that is the same everywhere, and directories likewise."""
    place = tree / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    os.chmod(place, mode)
    for each in (place, *(parent for parent in place.parents if tree in (parent, *parent.parents))):
        os.utime(each, ns=(TIMES[0], TIMES[0]))


def upper(name: str) -> Path:
    """The upper directory."""
    stored = storage.describe(name)
    assert stored is not None
    assert stored.writable is not None
    return Path(stored.writable)


def left_over(name: str) -> list[str]:
    """What there is in a jail's storage that belongs to no jail."""
    return sorted({*os.listdir(layout.storage(name))} - {"storage.json", "upper", "work"})


def programs(content: bytes) -> Callable[[Path], None]:
    """Fills a tree with files that an upgrade replaces."""

    def fill(tree: Path) -> None:
        for number in range(20):
            put(tree, f"usr/lib/{number}", content)
        put(tree, "etc/conf", content)

    return fill


def make_upgraded(name: str) -> str:
    """Make it."""
    two_templates(programs(b"old" * 100_000), programs(b"new" * 100_000))
    storage.create(name, "overlay", OLD)
    programs(b"new" * 100_000)(upper(name))
    return name
