# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time zone: ``/etc/localtime``, a link to a file of tzdata (localtime(5)), and its name in ``/etc/timezone``."""

from __future__ import annotations

import re

from ...errors import JailError
from ...kernel import paths
from .. import treefiles
from .setting import Setting, text

_LINK = "etc/localtime"
_NAME = "etc/timezone"
_ZONES = "usr/share/zoneinfo"
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def _parse(value: str) -> str:
    if not _ZONE.fullmatch(value):
        raise ValueError(f"{value!r} is not a time zone; write it like Europe/Berlin or UTC")
    return value


def _read(root: int) -> str | None:
    try:
        linked = paths.read_link(root, _LINK).partition(f"{_ZONES}/")[2]
    except OSError:
        return None  # missing, or no link
    named = treefiles.text_of(root, _NAME).strip()
    return linked if linked == named else f"{linked} ({named} in /{_NAME})"


def _write(root: int, value: str) -> None:
    if not treefiles.is_file(root, f"{_ZONES}/{value}"):
        raise JailError(
            f"its root file system has no time zone {value}",
            "timezone",
            "install tzdata there (in packages it becomes part of the template), or correct the name",
        )
    treefiles.put(root, _NAME, text([value]))
    paths.write_link(root, _LINK, f"../{_ZONES}/{value}")


SETTING = Setting(_parse, _read, _write)
