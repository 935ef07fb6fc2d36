# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of backing stores, by name; the first is the default."""

from __future__ import annotations

from collections.abc import Mapping

from . import btrfs, directory, image, overlay
from .store import BackingStore

STORES: Mapping[str, BackingStore] = {
    "overlay": overlay.STORE,
    "directory": directory.STORE,
    "btrfs": btrfs.STORE,
    "image": image.STORE,
}
