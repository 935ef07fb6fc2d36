# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tree takes on disk."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import space


def test_bytes_are_counted_once_and_inside(tmp_path: Path) -> None:
    """Blocks of files, each hard link once, no link followed."""
    tree, host = tmp_path / "tree", tmp_path / "host"
    tree.mkdir()
    host.mkdir()
    before = space.bytes_below(str(tree))
    (tree / "data").write_bytes(os.urandom(1 << 20))
    os.link(tree / "data", tree / "again")
    (host / "big").write_bytes(os.urandom(1 << 21))
    (tree / "out").symlink_to(host)
    grown = space.bytes_below(str(tree)) - before
    assert 1 << 20 <= grown < (1 << 20) + 65536
