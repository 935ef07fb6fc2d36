# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in as root by SSH: ``/root/.ssh/authorized_keys`` (sshd(8), "AUTHORIZED_KEYS FILE FORMAT")."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .. import treefiles
from .setting import Setting, one_line, text

_FOLDER = "root/.ssh"
_FILE = f"{_FOLDER}/authorized_keys"
# Options may stand before the type of the key, and hold blanks in quotes.
_OPTIONS = r'((?:[^"\s]|"(?:\\.|[^"\\])*")+ +)?'
_KEY = re.compile(_OPTIONS + r"(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+ +AAAA[A-Za-z0-9+/]+={0,3}( .*)?")


def _parse(value: Sequence[str]) -> list[str]:
    return [_parse_line(line) for line in value]


def _parse_line(line: str) -> str:
    key = one_line(line)
    if not _KEY.fullmatch(key):
        raise ValueError(f"{line!r} is no public key; one looks like 'ssh-ed25519 AAAA... comment'")
    return key


def _read(root: int) -> list[str]:
    return treefiles.lines_of(root, _FILE)


def _write(root: int, value: Sequence[str]) -> None:
    # sshd takes no file that others than its owner could change, nor one in such a directory.
    treefiles.private_folder(root, _FOLDER)
    treefiles.put(root, _FILE, text(value), 0o600)


SETTING = Setting(_parse, _read, _write)
