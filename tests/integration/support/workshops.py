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

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools

_CONTENT = "as it was"


@contextlib.contextmanager
def opened(kind: str, programs: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """A directory of the host and a file in it, the canary, for a ``with`` block; what a build has done to the canary
    is an error at its end. Skips the test where one of these programs of the host is missing.

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
        yield folder, canary
        is_as_it_was(canary)
    finally:
        shutil.rmtree(folder)


def is_as_it_was(canary: Path) -> None:
    """Nobody has reached it."""
    assert canary.read_text() == _CONTENT
