# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locale: ``LANG`` in ``/etc/locale.conf`` (locale.conf(5)) and, where there is such a directory, in
``/etc/default/locale``, where Debian's PAM looks."""

from __future__ import annotations

import re

from .. import treefiles
from .setting import Setting, text

_FILE = "etc/locale.conf"
_DEFAULTS = "etc/default"
_DEBIAN_FILE = f"{_DEFAULTS}/locale"
_LOCALE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9-]+)?(@[A-Za-z0-9]+)?")
_LINE = re.compile(r'LANG="?([^"\s]+)"?')


def _parse(value: str) -> str:
    if not _LOCALE.fullmatch(value):
        raise ValueError(f"{value!r} is not a locale; write it like de_DE.UTF-8 or C.UTF-8")
    return value


def _read(root: int) -> str | None:
    found = [treefiles.lines_of(root, path) for path in _files(root)]
    if any(lines != found[0] for lines in found):
        return " / ".join(" ".join(lines) for lines in found)
    match = _LINE.fullmatch(" ".join(found[0]))
    return match[1] if match else " ".join(found[0]) or None


def _write(root: int, value: str) -> None:
    for path in _files(root):
        treefiles.put(root, path, text([f"LANG={value}"]))


def _files(root: int) -> list[str]:
    return [_FILE, _DEBIAN_FILE] if treefiles.is_directory(root, _DEFAULTS) else [_FILE]


SETTING = Setting(_parse, _read, _write)
