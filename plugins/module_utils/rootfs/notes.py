# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Further notes beside a jail's storage, each a JSON file: they come and go with it, by the same rename."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from .. import files, layout

SAME = "same"
"""The identity of the snapshot that the storage is a copy of, while nothing was written there since."""
IMPORTED = "imported"
"""The checksum of the export that the storage came from."""
DESIRED = "desired"
"""Desired state that belongs to the storage and is not recorded yet."""


def write(folder: str, note: str, value: Any) -> None:
    """Put a note into a directory of storage; that directory is synced with it."""
    files.write_json(_path(folder, note), value)


def read(name: str, note: str) -> Any:
    """A note beside a jail's storage; ``None`` when there is none."""
    return files.read_json(_path(layout.storage(name), note))


def drop(name: str, note: str) -> None:
    """Remove a note; none is fine."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(layout.storage(name), note))


def _path(folder: str, note: str) -> str:
    return os.path.join(folder, f"{note}.json")
