# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extended attributes by descriptors that nothing was opened for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths, xattrs


@pytest.fixture(params=["file", "folder", "link", "fifo"])
def entry(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Something of each kind; the link leads to a file beside it."""
    place = tmp_path / str(request.param)
    (tmp_path / "target").touch()
    if request.param == "file":
        place.touch()
    elif request.param == "folder":
        place.mkdir()
    elif request.param == "link":
        place.symlink_to("target")
    else:
        os.mkfifo(place)
    return place


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set trusted attributes, which links can have")
def test_attributes_of_the_thing_itself(entry: Path) -> None:
    """Written and read back, empty and binary values too; what a link leads to has none."""
    wanted = {"trusted.one": b"", "trusted.two": bytes(range(256))}
    with paths.opened(os.open(entry, os.O_PATH | os.O_NOFOLLOW)) as found:
        assert xattrs.read(found) == {}
        xattrs.write(found, wanted)
        assert xattrs.read(found) == wanted
    assert os.listxattr(entry.parent / "target") == []


def test_a_file_system_without_attributes_has_none() -> None:
    """As /proc."""
    with paths.opened(os.open("/proc/self/status", os.O_RDONLY)) as found:
        assert xattrs.read(found) == {}
