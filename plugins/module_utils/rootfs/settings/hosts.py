# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``/etc/hosts`` (hosts(5)): the loopback addresses and the system's own name, and after them what the user adds.

The own name is that of the UTS namespace that we are in. Its address is Debian's for a system without a fixed one.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence

from .. import treefiles
from .setting import Setting, one_line, spaced, text

_FILE = "etc/hosts"
_LOOPBACK = ("127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback")
_OWN = "127.0.1.1"
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def _parse(value: Sequence[str]) -> list[str]:
    return [_parse_line(line) for line in value]


def _parse_line(line: str) -> str:
    address, *names = one_line(line).split()
    try:
        canonical = str(ipaddress.ip_address(address))
    except ValueError:
        raise ValueError(f"{line!r} does not begin with an address; write it like '192.0.2.7 db.example db'") from None
    strangers = [name for name in names if not _NAME.fullmatch(name)]
    if not names or strangers:
        raise ValueError(f"{line!r} has no name that could be one; write it like '192.0.2.7 db.example db'")
    return " ".join([canonical, *names])


def _read(root: int) -> list[str]:
    """What follows the lines that every system has; all that is there when it does not begin with them."""
    lines = [spaced(line) for line in treefiles.lines_of(root, _FILE)]
    common = _common(socket.gethostname())
    return lines[len(common) :] if lines[: len(common)] == common else lines


def _write(root: int, value: Sequence[str]) -> None:
    treefiles.put(root, _FILE, text([*_common(socket.gethostname()), *value]))


def name_itself(root: int, hostname: str) -> None:
    """Have a file with the system's own name: a new one, or with the line for it as it has to be where one is there."""
    before = treefiles.text_of(root, _FILE)
    if not before:
        treefiles.put(root, _FILE, text(_common(hostname)))
        return
    lines = [_renamed(line, hostname) for line in before.splitlines()]
    if lines != before.splitlines():
        treefiles.put(root, _FILE, text(lines))


def _renamed(line: str, hostname: str) -> str:
    words = line.split()
    return _own(hostname) if words[:1] == [_OWN] and hostname not in words else line


def _common(hostname: str) -> list[str]:
    return [*_LOOPBACK, _own(hostname)]


def _own(hostname: str) -> str:
    short = hostname.partition(".")[0]
    return " ".join(dict.fromkeys([_OWN, hostname, short]))


SETTING = Setting(_parse, _read, _write)
