# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an Alpine repository: ``APKINDEX.tar.gz`` and packages (apk-v2(5), apk-package(5), apk-index).

Each is a row of gzip members (RFC 1952, 2.2), and each member unpacks to a piece of a tar archive: signatures, if there
are any, then what they sign. In an index that is the list of packages. In a package it is ``.PKGINFO`` and the scripts,
and there stands the checksum of the last member, the files. An index knows a package by the checksum of the second
member, as it is in the file. So what has to be read before anything is verified is the first member, and how long the
second is.
Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

HEAD = 4 << 20
"""Signatures and scripts of a package are within so many bytes of its beginning."""

_SIGNATURES_MAX = 1 << 16
_CONTROL_MAX = 16 << 20
_INDEX_MAX = 256 << 20
_PROGRAM_MAX = 64 << 20
_BLOCK = 512
_GZIP = 16 + zlib.MAX_WBITS  # zlib's manual, inflateInit2(): a gzip header is expected
_SIGN = b".SIGN."
_SIGNATURE = re.compile(rb"\.SIGN\.(RSA|RSA256)\.([A-Za-z0-9@._+-]+)")
_DIGESTS = {b"RSA": "sha1", b"RSA256": "sha256"}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9+_.-]*")
_VERSION = re.compile(r"[0-9][A-Za-z0-9._~-]*")
_ARCH = re.compile(r"[a-z0-9_]+")
_CHECKSUM = "Q1"
"""What the SHA-1 of a control member begins with in an index; base64 follows."""


class Signature(NamedTuple):
    """Made with the key of this name over the SHA-1 or SHA-256 (``digest``, openssl's name) of the second member."""

    digest: str
    key: str
    content: bytes


class Entry(NamedTuple):
    """A package in an index; ``control`` is the SHA-1 of its second member, ``size`` that of the whole in bytes."""

    name: str
    version: str
    arch: str
    control: bytes
    size: int

    @property
    def file(self) -> str:
        """What its file is called."""
        return f"{self.name}-{self.version}.apk"


class Split(NamedTuple):
    """The beginning of a file: its signatures, the member that they sign as it is, and where that ends."""

    signatures: list[Signature]
    signed: bytes
    end: int


def split(content: bytes) -> Split:
    """Take apart what nobody has verified.

    :param content: a file, or as much of it as has the first two members.
    :raises ValueError: saying what is wrong with it, as all functions of this module do.
    """
    signatures, start = [], 0
    if _begins_with(content, _SIGN):
        first, start = _member(content, 0, _SIGNATURES_MAX)
        signatures = _signatures(first)
    _second, end = _member(content, start, _INDEX_MAX)
    return Split(signatures, content[start:end], end)


def _begins_with(content: bytes, text: bytes) -> bool:
    """Whether a gzip file unpacks to something that begins so; not one that is no gzip file."""
    try:
        return zlib.decompressobj(_GZIP).decompress(content, len(text)) == text
    except zlib.error:
        return False


def _member(content: bytes, start: int, most: int) -> tuple[bytes, int]:
    """What the gzip member at ``start`` unpacks to, and where it ends."""
    inflater = zlib.decompressobj(_GZIP)
    try:
        data = inflater.decompress(memoryview(content)[start:], most)
    except zlib.error as error:
        raise ValueError(f"is damaged: {error}") from error
    if not inflater.eof:
        raise ValueError("is cut short, or has a larger beginning than any such file")
    return data, len(content) - len(inflater.unused_data)


def _signatures(segment: bytes) -> list[Signature]:
    """The signatures in the first member: nothing but small regular files of tar (POSIX ustar) with such names."""
    found = []
    position = 0
    while any(segment[position : position + _BLOCK]):
        header = segment[position : position + _BLOCK]
        try:
            name, size = header[:100].rstrip(b"\0"), int(header[124:136].strip(b" \0"), 8)
        except ValueError as error:
            raise ValueError("has no signature where one belongs") from error
        position += _BLOCK
        content = segment[position : position + size]
        if not name.startswith(_SIGN) or header[156:157] not in (b"0", b"\0") or len(content) < size or size < 1:
            raise ValueError("has no signature where one belongs")
        match = _SIGNATURE.fullmatch(name)
        if match:  # there are others, of kinds that nobody uses
            found.append(Signature(_DIGESTS[match[1]], match[2].decode("ascii"), content))
        position += (size + _BLOCK - 1) // _BLOCK * _BLOCK
    return found


def packages(signed: bytes) -> list[Entry]:
    """The packages of an index, in its order.

    :param signed: its second member.
    """
    text = _file(_member(signed, 0, _INDEX_MAX)[0], "APKINDEX").decode("utf-8", errors="replace")
    return [_entry(fields) for fields in _stanzas(text)]


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    for stanza in text.split("\n\n"):
        fields = dict(line.partition(":")[::2] for line in stanza.splitlines())
        if fields:
            yield fields


def _entry(fields: dict[str, str]) -> Entry:
    try:
        entry = Entry(fields["P"], fields["V"], fields["A"], _control(fields["C"]), int(fields["S"]))
    except (KeyError, ValueError) as error:
        raise ValueError(f"has a package without what each must have: {error}") from error
    if not (_NAME.fullmatch(entry.name) and _VERSION.fullmatch(entry.version) and _ARCH.fullmatch(entry.arch)):
        raise ValueError(f"has a package of a name that none can have: {entry.name!r} {entry.version!r} {entry.arch!r}")
    return entry


def _control(text: str) -> bytes:
    try:
        digest = base64.b64decode(text[len(_CHECKSUM) :], validate=True)
    except binascii.Error as error:
        raise ValueError(f"checksum {text!r}") from error
    if not text.startswith(_CHECKSUM) or len(digest) != hashlib.sha1().digest_size:
        raise ValueError(f"checksum {text!r}")
    return digest


def check_package(file: BinaryIO, entry: Entry) -> Split:
    """Check that a file is the package that an index means: its control member, and by that its files."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    beginning = split(file.read(HEAD))
    if size > entry.size or hashlib.sha1(beginning.signed).digest() != entry.control:
        raise ValueError("is not the package that the index of its repository means")
    information = _file(_member(beginning.signed, 0, _CONTROL_MAX)[0], ".PKGINFO").decode("utf-8", errors="replace")
    wanted = re.findall(r"^datahash = ([0-9a-f]{64})$", information, re.MULTILINE)
    file.seek(beginning.end)
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    if wanted != [digest.hexdigest()]:
        raise ValueError("has files that its own checksum does not fit")
    return beginning


def program(file: BinaryIO, beginning: Split, path: str) -> bytes:
    """A program of a package that has been checked.

    :param path: its place in the package, without a slash at the beginning.
    """
    file.seek(beginning.end)
    inflater = zlib.decompressobj(_GZIP)
    return _file(inflater.decompress(file.read(_PROGRAM_MAX), _PROGRAM_MAX), path)


def _file(segment: bytes, path: str) -> bytes:
    """A regular file in a piece of a tar archive that has been verified."""
    try:
        with tarfile.open(fileobj=io.BytesIO(segment), mode="r:") as archive:
            for member in archive:
                if member.name == path and member.isreg():
                    found = archive.extractfile(member)
                    return found.read() if found else b""
    except tarfile.TarError as error:
        raise ValueError(f"is damaged: {error}") from error
    raise ValueError(f"has no {path}")
