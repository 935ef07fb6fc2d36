# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees as tar streams, by programs of the host that run in confinement on a tree at :data:`..toolbox.SUBJECT`.

Owners are the numbers that the jail sees. Kept are times to the nanosecond, hard links, holes, ACLs, file capabilities
and the attributes ``user.*``; all other attributes mean something to their host only. A stream holds no sockets, which
tar(1) has no word for, and no device nodes, which no jail can open and no confinement can make.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from typing import NamedTuple

from ...errors import JailError
from .. import toolbox
from ..builder import Job
from ..toolbox import SUBJECT, Toolbox

FOLDER = posixpath.basename(SUBJECT)
"""With this folder begins the name of every member of a stream."""

_PLACE = posixpath.dirname(SUBJECT)
_TAR = Toolbox({"tar": "tar"})
_MEMORY = 1 << 30
"""Bytes that each of these programs may use, whatever the tree or the stream makes it remember."""
_DEVICES_MAX = 1000
LIST_MAX = 1 << 18
"""So many bytes of the list of device nodes are of interest."""

_METADATA = (
    *("--numeric-owner", "--acls", "--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability"),
    f"--directory={_PLACE}",
)
_PACK = (
    *("--create", "--file=-", "--format=posix", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"),
    *("--sparse", "--one-file-system", "--warning=no-file-ignored"),
)
_UNPACK = (
    *("--extract", "--file=-", "--same-owner", "--preserve-permissions", "--delay-directory-restore"),
    *("--warning=no-timestamp", "--warning=no-unknown-keyword"),
)


class Compression(NamedTuple):
    """A format of compressed files.

    :param magic: with what a file begins.
    """

    magic: bytes
    program: str
    package: str


# gzip: RFC 1952, 2.3.1. zstd: RFC 8878, 3.1.1.
COMPRESSIONS = {
    "gzip": Compression(b"\x1f\x8b", "gzip", "gzip"),
    "zstd": Compression(b"\x28\xb5\x2f\xfd", "zstd", "zstd"),
}


def list_devices(output: int, errors: int) -> Job:
    """Print the device nodes of a tree, for :func:`devices`."""
    command = toolbox.command("find", SUBJECT, "-xdev", "(", "-type", "b", "-o", "-type", "c", ")", "-print0")
    return Job(command, output, errors, None, Toolbox({"find": "findutils"}), _MEMORY)


def devices(listed: bytes) -> list[bytes]:
    """The names of the device nodes in what that printed, as members of a stream.

    :raises JailError: for more than anybody means to have.
    """
    names = [f"{FOLDER}/".encode() + name.removeprefix(f"{SUBJECT}/".encode()) for name in listed.split(b"\0") if name]
    if len(names) > _DEVICES_MAX or len(listed) >= LIST_MAX:
        raise JailError("it has too many device nodes", advice="no jail can open them: remove them")
    return names


def pack(output: int, errors: int, excluded: Sequence[bytes]) -> Job:
    """Write a tree to ``output``, without these members and all below them."""
    exclude = [f"--exclude={os.fsdecode(name)}" for name in excluded]
    command = toolbox.command("tar", *_PACK, *_METADATA, "--anchored", "--no-wildcards", *exclude, FOLDER)
    return Job(command, output, errors, None, _TAR, _MEMORY)


def unpack(source: int, output: int, errors: int) -> Job:
    """Fill a tree from a stream that begins with ``source``; members outside of :data:`FOLDER` are passed over."""
    command = toolbox.command("tar", *_UNPACK, *_METADATA, FOLDER)
    return Job(command, output, errors, source, _TAR, _MEMORY)


def compression_of(beginning: bytes) -> str | None:
    """How a stream that begins like this is compressed, if it is."""
    return next((kind for kind, found in COMPRESSIONS.items() if beginning.startswith(found.magic)), None)


def compress(kind: str, source: int, output: int, errors: int) -> Job:
    """Compress a stream."""
    return _filter(kind, ["-c"], source, output, errors)


def decompress(kind: str, source: int, output: int, errors: int) -> Job:
    """Decompress one."""
    return _filter(kind, ["-d", "-c"], source, output, errors)


def _filter(kind: str, options: Sequence[str], source: int, output: int, errors: int) -> Job:
    found = COMPRESSIONS[kind]
    tools = Toolbox({found.program: found.package})
    return Job(toolbox.command(found.program, *options), output, errors, source, tools, _MEMORY)
