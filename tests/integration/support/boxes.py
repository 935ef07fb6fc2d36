# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jails of busybox."""

from __future__ import annotations

from itertools import count
from typing import Any

from . import sandbox
from .calls import module

SKELETON = {"method": "skeleton", "binaries": ["busybox"]}
_numbers = count(1)


def fresh_name() -> str:
    """A name that no jail of this test run has had."""
    return f"{sandbox.PREFIX}{next(_numbers)}"


def make_boxes(given: list[str], **state: Any) -> None:
    """Make and start jails of busybox that sleep."""
    module("jail_rootfs", jails=[{"name": each, **SKELETON} for each in given])
    module("jail_state", name=given, **{"command": ["sleep", "100000"], "state": "started", **state})
