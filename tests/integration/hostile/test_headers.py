# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are broken on purpose: headers that lie, ends that are none, much out of little."""

from __future__ import annotations

import bz2
import gzip
import subprocess
import tarfile
import zlib
from pathlib import Path

from ansible_collections.cellblock.jails.tests.integration.support.archives import (
    BLOCK,
    Archive,
    Naive,
    binary,
    header,
)
from ansible_collections.cellblock.jails.tests.integration.support.hostile import Canary, Case, parametrized, run

_CANNOT = "path: the archive cannot be unpacked: "
_NOT_WHOLE = "path: the archive is no tar archive, or it is not whole"
_MIB = 1 << 20


def _nothing(_archive: Archive, _canary: Canary) -> None:
    """The ordinary root is all that is in it."""


def _unpacked(naive: Naive, _canary: Canary) -> bool:
    """It was taken for a good archive, as far as it goes: nobody was told."""
    return (naive.root / "bin/busybox").exists() and not naive.errors


def _partly(naive: Naive, _canary: Canary) -> bool:
    """An error came when part of it was there."""
    return (naive.root / "bin/busybox").exists() and bool(naive.errors)


def _misled(naive: Naive, _canary: Canary) -> bool:
    """There is part of a tree, and it stopped, hung or made a file that no honest archive would make."""
    led_on = bool(naive.errors) or naive.hung or (naive.root / "etc/motd").exists()
    return led_on and (naive.root / "bin/busybox").exists()


def _pax_size(size: str) -> bytes:
    record = f" size={size}\n"
    length = len(record) + 2
    length += len(str(length)) - 2 if len(str(length)) > 2 else 0
    content = f"{length}{record}".encode()
    return header(b"pax", b"x", b"%011o\0" % len(content)) + content.ljust(BLOCK, b"\0")


def _huge_by_pax(archive: Archive, _canary: Canary) -> None:
    archive.raw(_pax_size("9223372036854775807"))
    archive.file("etc/motd")


def _negative_by_pax(archive: Archive, _canary: Canary) -> None:
    archive.raw(_pax_size("-1"))
    archive.file("etc/motd")


def _global_path(archive: Archive, canary: Canary) -> None:
    text = f"path={canary / 'file'}\n"
    length = len(text) + 3
    length += 1 if len(str(length)) > 2 else 0
    content = f"{length} {text}".encode()
    archive.raw(header(b"global", b"g", b"%011o\0" % len(content)), content)
    archive.file("etc/motd")


def _bad_record(archive: Archive, _canary: Canary) -> None:
    content = b"99999999999999999999 path=x\n"
    archive.raw(header(b"pax", b"x", b"%011o\0" % len(content)), content)
    archive.file("etc/motd")


def _unknown_kind(archive: Archive, canary: Canary) -> None:
    archive.raw(header(b"etc/motd", b"Z", b"%011o\0" % 8), b"hostile\n")


def _continued(archive: Archive, _canary: Canary) -> None:
    archive.raw(header(b"etc/motd", b"M", b"%011o\0" % 8), b"hostile\n")


def _damaged_header(archive: Archive, _canary: Canary) -> None:
    block = bytearray(header(b"etc/motd", b"0"))
    block[0] ^= 1
    archive.raw(bytes(block))
    archive.file("etc/more")


def _sparse(name: str, size: int, chunks: str, content: bytes) -> tuple[dict[str, str], bytes]:
    """GNU sparse format 1.0: the map stands before the data (GNU tar's manual, "PAX 1")."""
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name, "GNU.sparse.realsize": str(size)}
    table = chunks.encode().ljust(BLOCK, b"\0")
    return pax, table + content


def _sparse_file(archive: Archive, size: int, chunks: str) -> None:
    pax, content = _sparse("var/sparse", size, chunks, b"x" * BLOCK)
    archive.add("var/GNUSparseFile.0/sparse", b"0", content, pax)


def _as_large_as(size: int, naive: Naive) -> bool:
    return (naive.root / "var/sparse").stat().st_size == size


def _is_a_hole(_name: str, tree: Path) -> None:
    status = (tree / "var/sparse").stat()
    assert status.st_size == 4 << 40
    assert status.st_blocks * 512 < _MIB


def _takes_little(_name: str, tree: Path) -> None:
    assert (tree / "var/sparse").stat().st_blocks * 512 < _MIB


def _appended(content: bytes) -> bytes:
    """A second archive after the end of the first."""
    archive = Archive()
    archive.file("etc/hidden")
    return content + archive.finish()


def _hidden_is_found(naive: Naive, _canary: Canary) -> bool:
    """Who goes on after the end finds more than who does not."""
    path = naive.root.with_name("archive")
    greedy = naive.root.with_name("greedy")
    greedy.mkdir()
    subprocess.run(["tar", "-x", "--ignore-zeros", "-f", path, "-C", greedy], check=True)
    return (greedy / "etc/hidden").exists() and not (naive.root / "etc/hidden").exists()


def _hidden_is_not_there(_name: str, tree: Path) -> None:
    assert not (tree / "etc/hidden").exists()


def _in_two_members(content: bytes) -> bytes:
    return gzip.compress(content[: len(content) // 2], 1) + gzip.compress(content[len(content) // 2 :], 1)


def _half_by_a_simple_reader(naive: Naive, _canary: Canary) -> bool:
    """Who stops after the first gzip member has half of it."""
    content = naive.root.with_name("archive").read_bytes()
    decompressor = zlib.decompressobj(wbits=31)
    return bool(decompressor.decompress(content)) and bool(decompressor.unused_data)


def _expands(naive: Naive, _canary: Canary) -> bool:
    """Who unpacks until there is nothing to unpack gets a thousand times as much, twice."""
    packed = naive.root.with_name("archive").read_bytes()
    return len(gzip.decompress(gzip.decompress(packed))) > 10_000 * len(packed)


def _nested(archive: Archive, _canary: Canary) -> None:
    """One file, five thousand times."""
    archive.raw(header(b"var/empty", b"0") * 5_000)


def _one_after_the_other(naive: Naive, _canary: Canary) -> bool:
    with tarfile.open(naive.root.with_name("archive")) as file:
        return len(file.getmembers()) > 5_000


CASES = (
    Case("huge-size", lambda archive, _canary: archive.raw(header(b"etc/motd", b"0", binary(1 << 62))), _misled,
         _CANNOT),
    Case("negative-size", lambda archive, _canary: archive.raw(header(b"etc/motd", b"0", binary(-512))), _misled,
         _CANNOT),
    Case("size-that-is-no-number", lambda archive, _canary: archive.raw(header(b"etc/motd", b"0", b"zzzzzzzzzzz\0")),
         _unpacked, _CANNOT),
    Case("huge-pax-size", _huge_by_pax, _misled, _CANNOT),
    Case("negative-pax-size", _negative_by_pax, _misled, _CANNOT),
    Case("pax-record-without-end", _bad_record, _misled, _CANNOT),
    Case("pax-global-path", _global_path, lambda _naive, canary: canary.hit()),
    Case("longname-without-end",
         lambda archive, _canary: archive.raw(header(b"././@LongLink", b"L", b"%011o\0" % (1 << 30))),
         _misled, _CANNOT),
    Case("unknown-kind", _unknown_kind, _unpacked, _CANNOT + ".*Unknown file type"),
    Case("continued-from-elsewhere", _continued, _unpacked, _CANNOT),
    Case("damaged-header", _damaged_header, _unpacked, _CANNOT),
    Case("sparse-of-terabytes", lambda archive, _canary: _sparse_file(archive, 4 << 40, f"2\n0\n512\n{4 << 40}\n0\n"),
         lambda naive, _canary: _as_large_as(4 << 40, naive), look=_is_a_hole),
    Case("sparse-larger-than-files-can-be",
         lambda archive, _canary: _sparse_file(archive, 1 << 62, f"2\n0\n512\n{1 << 62}\n0\n"), _misled, _CANNOT),
    Case("sparse-map-beyond-the-end", lambda archive, _canary: _sparse_file(archive, 512, "1\n9000000000\n512\n"),
         lambda naive, _canary: (naive.root / "var/sparse").exists(), look=_takes_little),
    Case("sparse-map-negative", lambda archive, _canary: _sparse_file(archive, 512, "1\n-512\n512\n"),
         lambda naive, _canary: naive.errors or (naive.root / "var/sparse").exists(), _CANNOT),
    Case("sparse-map-without-end",
         lambda archive, _canary: _sparse_file(archive, 512, "99999999999\n0\n512\n"),
         lambda naive, _canary: naive.errors, _CANNOT),
    Case("garbage-after-the-end", _nothing, _unpacked, _NOT_WHOLE, packed=lambda content: content + b"garbage"),
    Case("blocks-after-the-end", _nothing, _unpacked, _NOT_WHOLE, packed=lambda content: content + b"g" * 10 * BLOCK),
    Case("archive-after-the-end", _nothing, _hidden_is_found, look=_hidden_is_not_there, packed=_appended),
    Case("without-an-end", _nothing, _unpacked, _NOT_WHOLE, packed=lambda content: content[: -2 * BLOCK]),
    Case("gzip-in-members", _nothing, _half_by_a_simple_reader, packed=_in_two_members),
    Case("gzip-and-garbage", _nothing, _unpacked, _CANNOT + "gzip ended with status 2",
         packed=lambda content: gzip.compress(content, 1) + b"garbage"),
    Case("gzip-checksum", _nothing, _unpacked, _CANNOT + "gzip ended with status 1",
         packed=lambda content: gzip.compress(content, 1)[:-8] + bytes(8)),
    Case("bzip2-and-garbage", _nothing, _unpacked, _CANNOT,
         packed=lambda content: bz2.compress(content, 1) + b"garbage"),
    Case("bomb-of-a-bomb", _nothing, _expands, _NOT_WHOLE,
         packed=lambda _content: gzip.compress(gzip.compress(bytes(16 * _MIB)))),
    Case("many-times-the-same", _nested, _one_after_the_other),
)  # fmt: skip


@parametrized(CASES)
def test_headers(case: Case, name: str) -> None:
    """See :mod:`..support.hostile`."""
    run(case, name)
