# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired state: ``/etc/jails/NAME/`` with one JSON file for each module."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from typing import Any

from .. import files, layout

FACETS = ("rootfs", "net", "limits", "state")
"""What is recorded of a jail: each is a file and a module (``jail_FACET``)."""


def locked(name: str) -> AbstractContextManager[None]:
    """Hold a jail's lock for a ``with`` block: nobody else changes it meanwhile."""
    return files.locked(f"jail-{name}")


def locked_if_free(name: str) -> AbstractContextManager[bool]:
    """Likewise without waiting: gives whether we hold it."""
    return files.locked_if_free(f"jail-{name}")


def names() -> list[str]:
    """The jails that have any desired state."""
    try:
        with os.scandir(layout.ETC) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except FileNotFoundError:
        return []


def read(name: str, facet: str) -> dict[str, Any]:
    """What is recorded for one module; empty when nothing is."""
    return files.read_json(os.path.join(layout.desired(name), f"{facet}.json")) or {}


def write(name: str, facet: str, values: dict[str, Any]) -> None:
    """Record the values for one module, whole."""
    files.write_json(os.path.join(layout.desired(name), f"{facet}.json"), values)


def forget(name: str, facet: str) -> None:
    """Drop what is recorded for one module; the jail is gone from the list with the last."""
    directory = layout.desired(name)
    try:
        os.unlink(os.path.join(directory, f"{facet}.json"))
    except FileNotFoundError:
        return
    if not any(entry.endswith(".json") for entry in os.listdir(directory)):
        shutil.rmtree(directory)


def forget_all(name: str) -> None:
    """Drop all that is recorded for a jail."""
    if os.path.isdir(layout.desired(name)):
        shutil.rmtree(layout.desired(name))
