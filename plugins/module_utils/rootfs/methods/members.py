# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a tar archive, by the list that tar(1) prints of it: where its root is and what of it does not belong
into a jail. Pure.

The list is that of GNU tar with ``--quoting-style=c``. It says what an archive means to be; nothing depends on its
being true, for the archive is unpacked where it can reach nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

MOUNTED = (b"dev", b"proc", b"sys", b"run")
"""What a jail finds in these is mounted there at its start."""

_PROGRAMS = {b"bin", b"sbin", b"usr"}
_LINE_MAX = 1 << 16  # twice PATH_MAX bytes, name and target, all of them as "\ooo"; and the rest of the line
_LINE = re.compile(rb'(.)\S* ([0-9]{1,20})/([0-9]{1,20}) [^"]*"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_DEVICES = b"bc"
_LABEL = b"V"
_SHOWN_MAX = 200
_LAST_ID = 65_535  # of the owners that a tree may have, see builder.Confine
_SPELLINGS_MAX = 64


class Member(NamedTuple):
    """A line of the list: the first letter of its mode, as of ls(1), and the name as the archive has it."""

    kind: bytes
    name: bytes


class Omitted(NamedTuple):
    """Members that are not unpacked, with all below them.

    :param spellings: their names as the archive has them.
    :param devices: those of them that are device nodes outside of :data:`MOUNTED`.
    """

    spellings: list[bytes]
    devices: list[bytes]


def read(listing: BinaryIO, most: int) -> Iterator[Member]:
    """The members in a list.

    :param most: how many there may be.
    :raises OverflowError: for more.
    :raises ValueError: for a name that no path can have or that leads out, for an owner that a jail has not, and for
        what is not a list.
    """
    count = 0
    while line := listing.readline(_LINE_MAX):
        count += 1
        if count > most:
            raise OverflowError
        match = _LINE.match(line)
        if not match or not line.endswith(b"\n"):
            raise ValueError(f"has a member whose name is no path: {shown(line)}")
        name = _ESCAPE.sub(_character, match[4])
        if b".." in _parts(name):
            raise ValueError(f"has a member whose name leads out of it: {shown(name)}")
        if max(int(match[2]), int(match[3])) > _LAST_ID:
            raise ValueError(f"has a member whose owner no jail has, {_owner(match)}: {shown(name)}")
        if match[1] != _LABEL:
            yield Member(match[1], name)


def _owner(match: re.Match[bytes]) -> str:
    return f"user {int(match[2])} and group {int(match[3])}"


def _character(match: re.Match[bytes]) -> bytes:
    text = match[1]
    return bytes([int(text, 8) & 0xFF]) if text.isdigit() else _LETTERS.get(text, text)


def find_root(members: Iterable[Member]) -> bytes:
    """The leading folder in which the root file system is; empty where there is none.

    :raises ValueError: when there is no root file system.
    """
    top: set[bytes] = set()
    second: set[bytes] = set()
    for member in members:
        parts = _parts(member.name)
        top.update(parts[:1])
        if len(top) == 1:
            second.update(parts[1:2])
    if _is_root(top):
        return b""
    if len(top) == 1 and _is_root(second):
        return next(iter(top))
    found = ", ".join(shown(name) for name in sorted(second if len(top) == 1 else top)[:5])
    raise ValueError(f"holds no root file system, which has etc and one of bin, sbin, usr; it has {found or 'nothing'}")


def _is_root(names: set[bytes]) -> bool:
    return b"etc" in names and bool(names & _PROGRAMS)


def omit(members: Iterable[Member], root: bytes) -> Omitted:
    """What is not unpacked: what would be covered by mounts, and device nodes, which no jail can open.

    :param root: from :func:`find_root`.
    :raises ValueError: when that is written in more ways than anybody needs.
    """
    spellings: dict[bytes, None] = {}
    devices: dict[bytes, None] = {}
    depth = 1 if root else 0
    for member in members:
        parts = _parts(member.name)
        if parts[depth : depth + 1] and parts[depth] in MOUNTED:
            spellings[_beginning(member.name, depth + 1)] = None
        elif member.kind in _DEVICES:
            spellings[member.name] = devices[member.name] = None
        if len(spellings) > _SPELLINGS_MAX:
            raise ValueError(f"has more than {_SPELLINGS_MAX} device nodes; the last is {shown(member.name)}")
    return Omitted(list(spellings), list(devices))


def _parts(name: bytes) -> list[bytes]:
    return [part for part in name.split(b"/") if part not in (b"", b".")]


def _beginning(name: bytes, count: int) -> bytes:
    """A name as it is written, up to its part number ``count``."""
    pieces = name.split(b"/")
    for number, piece in enumerate(pieces):
        count -= piece not in (b"", b".")
        if not count:
            return b"/".join(pieces[: number + 1])
    return name


def shown(name: bytes) -> str:
    """A name for a message: whatever is in it, one line that no terminal obeys; beginning and end of a long one."""
    if len(name) > _SHOWN_MAX:
        name = name[: _SHOWN_MAX // 2] + b" ... " + name[-_SHOWN_MAX // 2 :]
    return repr(os.fsdecode(name))
