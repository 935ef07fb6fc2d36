# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The format of an export: a tar archive (POSIX.1-2001, pax) and its checksum.

The first member is ``jail.json``, the manifest: a JSON object with ``format``, :data:`FORMAT`. Then comes the tree, as
``root`` and all below it, then the end that tar(1) writes, and after that one block of 512 bytes with the SHA-256 of
everything before it. What reads tar archives reads it, and takes no notice of the last block. The whole may be
compressed.

What is read here is hostile until the checksum is right, and then no less: whoever can change a stream can change its
checksum too. So nothing is taken from it but bytes in pieces of bounded size.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import time
from collections.abc import Mapping
from typing import Any

from ...errors import JailError
from . import streams

FORMAT = 1
_MANIFEST = "jail.json"
_MANIFEST_MAX = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_TRAILER = b"cellblock.jails SHA-256 "


def header(manifest: Mapping[str, Any]) -> bytes:
    """The beginning of an export: the manifest as a member of a tar archive."""
    text = json.dumps({**manifest, "format": FORMAT}, indent=2, sort_keys=True).encode() + b"\n"
    if len(text) > _MANIFEST_MAX:
        raise JailError("its desired state is too large for an export")
    member = tarfile.TarInfo(_MANIFEST)
    member.size, member.mode, member.mtime = len(text), 0o600, int(time.time())
    return member.tobuf(tarfile.USTAR_FORMAT) + text + bytes(-len(text) % _BLOCK)


def trailer(digest: str) -> bytes:
    """The last block.

    :param digest: of everything before it, in hexadecimal.
    """
    return (_TRAILER + digest.encode() + b"\n").ljust(_BLOCK, b"\0")


class Reader:
    """The bytes of an export up to its last block, whose checksum is computed on the way.

    :param source: a descriptor.
    """

    def __init__(self, source: int) -> None:
        self._source = source
        self._held = b""
        self._digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end."""
        wanted = size + _BLOCK - len(self._held)
        self._held += streams.read(self._source, wanted)
        cut = max(0, len(self._held) - _BLOCK)
        found, self._held = self._held[:cut], self._held[cut:]
        self._digest.update(found)
        return found

    def check(self) -> None:
        """Compare checksums, once everything has been read.

        :raises JailError: when they differ.
        """
        if self._held != trailer(self._digest.hexdigest()):
            raise JailError("the export is damaged or not whole: it does not end with the checksum of what it holds")


def read_manifest(reader: Reader) -> dict[str, Any]:
    """The manifest, without its ``format``.

    :raises JailError: when the stream does not begin with one.
    """
    try:
        member = tarfile.TarInfo.frombuf(reader.read(_BLOCK), "utf-8", "strict")
        if member.name != _MANIFEST or not member.isreg() or not 0 < member.size <= _MANIFEST_MAX:
            raise ValueError("its first member is something else")
        padded = reader.read(member.size + -member.size % _BLOCK)
        found = json.loads(padded[: member.size].decode(), object_pairs_hook=_once, parse_constant=_refuse)
        if not isinstance(found, dict):
            raise ValueError("its manifest is no object")
    except (tarfile.TarError, ValueError, RecursionError) as error:
        raise JailError(f"this is no export of a jail: {str(error)[:200]}") from error
    version = found.pop("format", None)
    if isinstance(version, bool) or version != FORMAT:
        raise JailError(f"the export has the format {str(version)[:20]!r}, and only {FORMAT} is known here")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
