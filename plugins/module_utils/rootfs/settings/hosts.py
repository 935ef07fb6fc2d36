# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``/etc/hosts`` (hosts(5)): the loopback addresses and the system's own name, after them what the user adds, and at
the end, between two comments, the other systems that this one is told of.

The own name is that of the UTS namespace that we are in. Its address is Debian's for a system without a fixed one.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence

from ...errors import JailError
from ...kernel import paths
from .. import treefiles
from .setting import Setting, one_line, spaced

_FILE = "etc/hosts"
_LIMIT = 1 << 18
_BEGIN = b"# The other jails of this host, by jail_net: what is written here does not last"
_END = b"# The end of the other jails"
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
    """What follows the lines that every system has, without those of the other systems; all that is there when it does
    not begin with them."""
    own = b"\n".join(_parted(_lines(root))[0]).decode(errors="replace")
    lines = [spaced(line) for line in treefiles.significant(own)]
    common = _common(socket.gethostname())
    return lines[len(common) :] if lines[: len(common)] == common else lines


def _write(root: int, value: Sequence[str]) -> None:
    _own, others = _parted(_lines(root))
    _put(root, [line.encode() for line in [*_common(socket.gethostname()), *value]], others)


def name_itself(root: int, hostname: str) -> None:
    """Have a file with the system's own name: a new one, or with the line for it as it has to be where one is there."""
    before = _lines(root)
    lines = [_renamed(line, hostname) for line in before] or [line.encode() for line in _common(hostname)]
    if lines != before and not _is_too_large(before):
        treefiles.put(root, _FILE, _joined(lines))


def told(root: int) -> list[str] | None:
    """The lines about other systems; ``None`` when the file has no place for them."""
    others = _parted(_lines(root))[1]
    return None if others is None else [line.decode(errors="replace") for line in others]


def tell(root: int, others: Sequence[str] | None) -> None:
    """Have exactly these lines about other systems, or with ``None`` no place for any. All other lines stay.

    :raises JailError: when the file is so large that not all of it would stay.
    """
    lines = _lines(root)
    own, before = _parted(lines)
    wanted = None if others is None else [line.encode() for line in others]
    if wanted == before:
        return
    if _is_too_large(lines):
        if wanted is None:
            return
        raise JailError(f"its /{_FILE} is larger than {_LIMIT >> 10} KiB", option="names", advice="make it smaller")
    _put(root, own or [line.encode() for line in _common(socket.gethostname())], wanted)


def _lines(root: int) -> list[bytes]:
    """Of the file, up to a limit; none when it is missing, or is something else than a file."""
    try:
        content = paths.read_file(root, _FILE, _LIMIT + 1)
    except OSError:
        return []
    lines = content.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _is_too_large(lines: Sequence[bytes]) -> bool:
    return len(_joined(lines)) > _LIMIT


def _parted(lines: Sequence[bytes]) -> tuple[list[bytes], list[bytes] | None]:
    """The lines that are the system's own, and those about others. A comment of ours that has lost the other one marks
    nothing: what is beside it is the system's."""
    own: list[bytes] = []
    others: list[bytes] | None = None
    begun: int | None = None
    for line in lines:
        if line == _BEGIN:
            begun = len(own)
        elif line == _END:
            if begun is not None:
                others = [*(others or []), *own[begun:]]
                del own[begun:]
            begun = None
        else:
            own.append(line)
    return own, others


def _put(root: int, own: Sequence[bytes], others: Sequence[bytes] | None) -> None:
    block = [] if others is None else [_BEGIN, *others, _END]
    treefiles.put(root, _FILE, _joined([*own, *block]))


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _renamed(line: bytes, hostname: str) -> bytes:
    words = line.split()
    return _own(hostname).encode() if words[:1] == [_OWN.encode()] and hostname.encode() not in words else line


def _common(hostname: str) -> list[str]:
    return [*_LOOPBACK, _own(hostname)]


def _own(hostname: str) -> str:
    short = hostname.partition(".")[0]
    return " ".join(dict.fromkeys([_OWN, hostname, short]))


SETTING = Setting(_parse, _read, _write)
