# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar archives that no honest program writes, and an extractor that believes all that is in them."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import stat
import subprocess
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process

BLOCK = 512
_BUSYBOX = "/bin/busybox"
_APPLETS = ("cat", "chroot", "head", "id", "ls", "readlink", "sh", "sleep", "stat", "test")
_PATIENCE = 3.0


class Archive:
    """An archive in the making: each method adds a member, in the order of the calls."""

    def __init__(self) -> None:
        self._content = io.BytesIO()

    def base(self) -> None:
        """A small root file system with a busybox, in which a jail can run."""
        for name in ("bin", "etc", "root", "tmp", "usr", "var"):
            self.directory(name)
        self.file("bin/busybox", Path(_BUSYBOX).read_bytes(), 0o755)
        for applet in _APPLETS:
            self.symlink(f"bin/{applet}", "busybox")
        self.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\n")

    def add(
        self, name: str, kind: bytes, content: bytes = b"", pax: Mapping[str, str] | None = None, **fields: Any
    ) -> None:
        """A member of any kind; ``fields`` are those of :class:`tarfile.TarInfo`."""
        info = tarfile.TarInfo(name)
        info.type, info.size = kind, len(content)
        info.mode = 0o644
        for field, value in fields.items():
            setattr(info, field, value)
        if pax is None:
            self.raw(info.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape"), content)
        else:
            info.pax_headers = dict(pax)
            self.raw(info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape"), content)

    def raw(self, header: bytes, content: bytes = b"") -> None:
        """A header as it is, and content."""
        self._content.write(header + content + bytes(-len(content) % BLOCK))

    def file(self, name: str, content: bytes = b"hostile\n", mode: int = 0o644, **fields: Any) -> None:
        """A regular file."""
        self.add(name, tarfile.REGTYPE, content, mode=mode, **fields)

    def directory(self, name: str, mode: int = 0o755, **fields: Any) -> None:
        """A directory."""
        self.add(name, tarfile.DIRTYPE, mode=mode, **fields)

    def symlink(self, name: str, target: object) -> None:
        """A symbolic link."""
        self.add(name, tarfile.SYMTYPE, linkname=str(target), mode=0o777)

    def link(self, name: str, target: object) -> None:
        """A hard link."""
        self.add(name, tarfile.LNKTYPE, linkname=str(target))

    def device(self, name: str, kind: bytes, major: int, minor: int) -> None:
        """A device node: :data:`tarfile.CHRTYPE` or ``BLKTYPE``."""
        self.add(name, kind, mode=0o666, devmajor=major, devminor=minor)

    def fifo(self, name: str) -> None:
        """A FIFO."""
        self.add(name, tarfile.FIFOTYPE)

    def finish(self) -> bytes:
        """The whole archive, with its end."""
        return self._content.getvalue() + bytes(2 * BLOCK)


def header(name: bytes, kind: bytes, size: bytes = b"%011o\0" % 0, **fields: bytes) -> bytes:
    """A header with fields as they are, and the checksum that belongs to them (tar(5), "POSIX ustar Archives").

    :param fields: of ``mode``, ``uid``, ``gid``, ``mtime``, ``linkname``.
    """
    places = {"mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "mtime": (136, 12), "linkname": (157, 100)}
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157], block[257:265] = kind, b"ustar\00000"
    defaults = {"mode": b"0000644\0", "uid": b"0000000\0", "gid": b"0000000\0", "mtime": b"00000000000\0"}
    for field, value in {**defaults, **fields}.items():
        start, length = places[field]
        block[start : start + min(len(value), length)] = value[:length]
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def binary(number: int, length: int = 12) -> bytes:
    """A number in base 256, as GNU tar writes what octal digits cannot say."""
    return bytes([0x80 if number >= 0 else 0xFF]) + (number & (1 << 8 * (length - 1)) - 1).to_bytes(length - 1, "big")


class Naive(NamedTuple):
    """What the believing extractor left.

    :param errors: what it met, as ``CLASS: TEXT``; it goes on with the next member.
    :param hung: whether it waited for something until it was killed.
    """

    root: Path
    errors: list[str]
    hung: bool


def extract_naively(archive: Path, root: Path) -> Naive:
    """Extract an archive as its names say, through links, absolute or upwards, with all owners, modes and attributes.

    As root of this host: the archive must lead nowhere but to what the test has put there.
    """
    root.mkdir()
    said = root.with_name("naive-errors")
    said.touch()
    pid = process.fork(lambda: _extract_all(archive, root, said))
    deadline = time.monotonic() + _PATIENCE
    hung = False
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            hung = bool(process.wait(pid))
            break
        time.sleep(0.002)
    return Naive(root, said.read_text(errors="surrogateescape").splitlines(), hung)


def _extract_all(archive: Path, root: Path, said: Path) -> None:
    with open(said, "a", encoding="utf-8", errors="surrogateescape", buffering=1) as errors:
        try:
            with tarfile.open(archive, errors="surrogateescape") as tar:
                for member in tar:
                    try:
                        _extract(tar, member, root)
                    except (OSError, tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
                        print(f"{type(error).__name__}: {str(error)[:200]!r}", file=errors)
        except Exception as error:  # noqa: BLE001 - whatever the library makes of such an archive
            print(f"{type(error).__name__}: {str(error)[:200]!r}", file=errors)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    path = os.path.normpath(os.path.join(root, member.name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if member.isdir():
        if not os.path.isdir(path):
            os.mkdir(path)
    elif member.issym() or member.islnk() or member.isdev():
        _make_room(path)
        _make_special(member, path, root)
    else:
        _write(tar, member, path)
    if not member.issym():
        _adorn(member, path)


def _make_room(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _make_special(member: tarfile.TarInfo, path: str, root: Path) -> None:
    if member.issym():
        os.symlink(member.linkname, path)
    elif member.islnk():
        os.link(os.path.normpath(os.path.join(root, member.linkname)), path, follow_symlinks=False)
    elif member.isfifo():
        os.mkfifo(path)
    else:
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(path, kind | 0o666, os.makedev(member.devmajor, member.devminor))


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    with open(path, "wb") as file:
        if member.issparse():
            file.truncate(member.size)
            return
        source = tar.extractfile(member)
        while source is not None and (chunk := source.read(1 << 20)):
            file.write(chunk)


def _adorn(member: tarfile.TarInfo, path: str) -> None:
    os.chown(path, member.uid, member.gid)
    os.chmod(path, member.mode & 0o7777)
    for name, value in member.pax_headers.items():
        if name.startswith("SCHILY.xattr."):
            with contextlib.suppress(OSError):
                os.setxattr(path, name[len("SCHILY.xattr.") :], value.encode("utf-8", "surrogateescape"))
        elif name == "SCHILY.acl.access":
            subprocess.run(["setfacl", f"--set={value}", path], check=False, capture_output=True)
    os.utime(path, (member.mtime, member.mtime))
