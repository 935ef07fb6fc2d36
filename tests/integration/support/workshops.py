# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places to build packages in, and what those try to reach from within a build."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools

_CONTENT = "as it was"


class Workshop(NamedTuple):
    """A directory of the host, and a file in it that nobody but the host is to write to."""

    folder: Path
    canary: Path


@contextlib.contextmanager
def opened(kind: str, programs: Sequence[str]) -> Iterator[Workshop]:
    """A workshop for a ``with`` block; what a build has done to the canary is an error at its end. Skips the test where
    one of these programs of the host is missing.

    Not below /tmp: it has to be a file system on disk.
    """
    missing = [program for program in programs if hosttools.look_up(program) is None]
    if missing:
        pytest.skip(f"the host has no {', '.join(missing)}")
    folder = Path("/var/tmp") / f"jails-test-{kind}-{os.getpid()}"
    folder.mkdir()
    try:
        canary = folder / "canary"
        canary.write_text(_CONTENT)
        yield Workshop(folder, canary)
        is_as_it_was(canary)
    finally:
        shutil.rmtree(folder)


def is_as_it_was(canary: Path) -> None:
    """Nobody has reached it."""
    assert canary.read_text() == _CONTENT


def was_out_of_reach(tree: Path) -> None:
    """The script of the package ``tool`` ran as root of nothing but the tree."""
    post = (tree / "var/lib/tool/post").read_text()
    assert post.startswith("0\n"), "it was not root where it ran"
    first_inside, first_outside, count = post.splitlines()[1].split()
    assert (first_inside, count) == ("0", "65536")
    assert int(first_outside) >= 65536, "it was root of the host"
    assert "made a device" not in post
    assert "wrote to the host" not in post
    assert not (tree / "var/lib/tool/null").exists()
