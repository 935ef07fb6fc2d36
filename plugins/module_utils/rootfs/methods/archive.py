# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``archive``: a tar archive, from a file of the host or from the web, uncompressed or by gzip, xz, zstd or
bzip2.

Nobody trusts what is in an archive. Its bytes are verified against a checksum, and then only programs that are
confined like a jail look at them, with copies of the host's own tar and decompressors (:mod:`..toolbox`): one to
decompress it, one to list it, one to unpack it. They find nothing of the host there, and of the tree only a directory
with a name that an archive cannot know. What they leave behind outside of that directory is removed.

What is left out: what the archive has in /dev, /proc, /sys and /run, where a jail finds mounts; device nodes elsewhere,
which no jail can open (its tree is mounted ``nodev``) and which many archives have for programs that change their root;
extended attributes that only the host may set, and those by which overlayfs marks files; and owner, mode and attributes
of the root directory itself, which in many archives are those of some temporary directory. Everything else is there as
it was archived, or the archive is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ... import layout
from ...errors import JailError
from ...kernel import paths
from .. import hosttools, intree, space, toolbox
from ..builder import Confine, Job
from ..buildlog import BuildLog
from ..fetching import checksums, download
from ..recipes import Recipe
from ..space import Room
from ..toolbox import Toolbox
from . import bounded, members
from .members import Member, Omitted

_MEMORY = 1 << 30
_MESSAGES_MAX = 1 << 20
_NAME_BYTES = 256  # for each member in a list, on average
_BLOCK = 512
_QUOTED = 3

_RATIO = 100
_ALWAYS = 1 << 30
"""Decompressed, an archive may have so many times its size, or so many bytes. Trees shrink to a third or a tenth."""


class _Compression(NamedTuple):
    magic: bytes
    program: str
    package: str
    options: tuple[str, ...] = ()


# gzip: RFC 1952, 2.3.1. xz: the xz file format, 2.1.1.1. zstd: RFC 8878, 3.1.1. bzip2 has no specification but its
# source: "BZh" and the block size.
_COMPRESSIONS = (
    _Compression(b"\x1f\x8b", "gzip", "gzip"),
    _Compression(b"\xfd7zXZ\x00", "xz", "xz-utils", ("--threads=1",)),  # each thread takes memory
    _Compression(b"\x28\xb5\x2f\xfd", "zstd", "zstd"),
    _Compression(b"BZh", "bzip2", "bzip2"),
)

_TAR = Toolbox({"tar": "tar"})
_QUIET = ("--warning=no-timestamp", "--warning=no-unknown-keyword", "--warning=no-alone-zero-block")
_LIST = ("--list", "--verbose", "--numeric-owner", "--absolute-names", "--quoting-style=c", *_QUIET, "--file=-")
_EXTRACT = (
    *("--extract", "--numeric-owner", "--same-owner", "--preserve-permissions", "--delay-directory-restore", "--acls"),
    # What only the host's kernel gives a meaning (security.selinux, trusted.*) a jail may not set. A tree is a lower
    # layer of an overlay that is mounted with userxattr: user.overlay.* would be taken for its marks.
    *("--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability"),
    *("--xattrs-exclude=user.overlay.*", *_QUIET, "--file=-"),
)
_HARMLESS = re.compile(r"\S+: Removing leading `/+' from (member names|hard link targets)")


class _Place(NamedTuple):
    """Where an archive is unpacked, and what with; ``option`` is the one that named it."""

    tree: str
    confine: Confine
    log: BuildLog
    room: Room
    option: str

    def refusal(self, what: str, advice: str | None = None) -> JailError:
        """The error for an archive that is not as it should be."""
        return JailError(f"the archive {what}", self.option, advice)


def build(recipe: Recipe, tree: str, confine: Confine, log: BuildLog) -> None:
    """Unpack the archive; see :data:`..builder.Builder`."""
    _need_gnu_tar()
    place = _Place(tree, confine, log, space.room(tree), "url" if recipe["url"] else "path")
    with _verified(recipe, place) as packed, _decompressed(packed, place) as archive:
        _check_end(archive, place)
        root, omitted = _survey(archive, place)
        for name in omitted.devices:
            log.note(f"I: left out, as no jail can open it: the device node {members.shown(name)}")
        fresh = f".{os.urandom(16).hex()}"
        with paths.opened(paths.open_directory(tree)) as top:
            intree.make_directory(top, fresh)
            _extract(archive, place, fresh, omitted)
            _move_up(top, place, f"{fresh}/{os.fsdecode(root)}")
            intree.make_mount_points(top)
            intree.forget_identity(top)


def _need_gnu_tar() -> None:
    status, text = hosttools.output_of([hosttools.find("tar", "tar"), "--version"])
    if status or "GNU tar" not in text:
        raise JailError("the host's tar is not GNU tar", "method", "install the package tar there")


@contextlib.contextmanager
def _verified(recipe: Recipe, place: _Place) -> Iterator[int]:
    """A descriptor of the archive's file, which has the checksum of the recipe and keeps it for a ``with`` block."""
    url, checksum = recipe["url"], recipe["checksum"]
    path = download.fetch(url, checksum, place.room.bytes, place.log.note) if url else recipe["path"]
    if path is None:
        raise JailError("there is no archive to make it of", "path", "say where the archive is: path or url")
    with paths.opened(checksums.open_file(path)) as file:
        before = checksums.identity(file)
        found = checksums.of_descriptor(file, checksum)
        if found != checksum:
            raise JailError(f"{path} has the checksum {found}, not {checksum}", "checksum")
        yield file
        if checksums.identity(file) != before:
            raise JailError(f"{path} was written to while it was read", "path")


@contextlib.contextmanager
def _decompressed(packed: int, place: _Place) -> Iterator[int]:
    """A descriptor of the tar archive in a file, by what the file begins with, for a ``with`` block."""
    beginning = os.pread(packed, _BLOCK, 0)
    found = next((each for each in _COMPRESSIONS if beginning.startswith(each.magic)), None)
    size = os.fstat(packed).st_size
    if found is None:
        if size > place.room.bytes:
            raise _too_large(f"{size} bytes", place)
        yield packed
        return
    most = min(max(_ALWAYS, size * _RATIO), place.room.bytes)
    tools = Toolbox({found.program: found.package})
    command = toolbox.command(found.program, "--decompress", "--stdout", *found.options)
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(_output(place, command, tools, packed, most))
        if archive is None:
            raise _too_large(f"more than {most} bytes, {most // size} times its size", place)
        yield archive


def _too_large(size: str, place: _Place) -> JailError:
    return place.refusal(
        f"unpacks to {size}",
        f"the most is a quarter of what is free below {layout.LIB}, and of a compressed one {_RATIO} times its size: "
        "free some space there, or decompress the archive beforehand if it is to be trusted",
    )


@contextlib.contextmanager
def _output(place: _Place, command: Sequence[str], tools: Toolbox, source: int, most: int) -> Iterator[int | None]:
    """What a program prints in confinement, as a descriptor to read from, for a ``with`` block; ``None`` when that
    is more than ``most`` bytes.

    :raises JailError: when it failed, or complained of anything.
    """
    folder = os.path.dirname(place.tree)
    with bounded.keeping(most, folder) as output, bounded.keeping(_MESSAGES_MAX, folder) as messages:
        os.lseek(source, 0, os.SEEK_SET)
        status = place.confine(place.tree, Job(command, output.descriptor, messages.descriptor, source, tools, _MEMORY))
        complete = output.close()
        messages.close()
        if not complete:
            yield None
            return
        said = [line for line in messages.read().decode(errors="replace").splitlines() if not _HARMLESS.fullmatch(line)]
        if status or said:
            raise _failure(place, min(tools.programs), status, said)
        with paths.opened(output.reopen()) as result:
            yield result


def _failure(place: _Place, program: str, status: int, said: list[str]) -> Exception:
    """The error for a program that failed or complained; one that quotes it, unless a full disk was the reason."""
    place.log.note("\n".join(said))
    failure = place.log.failure(f"{program} ended with status {status}")
    if not isinstance(failure, JailError):
        return failure
    quoted = " | ".join(members.shown(os.fsencode(line)) for line in said[:_QUOTED])
    reason = quoted or f"it said nothing; it may have wanted more than {_MEMORY >> 20} MiB of memory"
    return place.refusal(f"cannot be unpacked: {program} ended with status {status}: {reason}", failure.advice)


def _check_end(archive: int, place: _Place) -> None:
    """Two blocks of zeros are the end of an archive (tar(5), pax(1)); without them part of it may be missing, which
    tar does not mind between two members."""
    size = os.fstat(archive).st_size
    if size % _BLOCK or any(os.pread(archive, 2 * _BLOCK, max(0, size - 2 * _BLOCK))) or size < 2 * _BLOCK:
        what = "is no tar archive, or it is not whole: it does not end as one does"
        raise place.refusal(what, "it may be compressed by gzip, xz, zstd or bzip2, and by nothing else")


def _survey(archive: int, place: _Place) -> tuple[bytes, Omitted]:
    """The leading folder, and what is not unpacked."""
    command = toolbox.command("tar", *_LIST)
    most = place.room.entries
    with _output(place, command, _TAR, archive, most * _NAME_BYTES) as listing:
        if listing is None:
            raise _too_large(f"more than {most} files, or to fewer with very long names", place)
        try:
            root = members.find_root(_members(listing, place))
            return root, members.omit(_members(listing, place), root)
        except OverflowError:
            raise _too_large(f"more than {most} files", place) from None
        except ValueError as error:
            raise place.refusal(str(error)) from None


def _members(listing: int, place: _Place) -> Iterator[Member]:
    with open(os.dup(listing), "rb") as file:
        file.seek(0)
        yield from members.read(file, place.room.entries)


def _extract(archive: int, place: _Place, folder: str, omitted: Omitted) -> None:
    exclude = [f"--exclude={os.fsdecode(name)}" for name in omitted.spellings]
    options = [f"--directory=/{folder}", "--anchored", "--no-wildcards", *exclude]
    with _output(place, toolbox.command("tar", *_EXTRACT, *options), _TAR, archive, 0) as output:
        if output is None:
            raise place.refusal("made tar print something where it should not")


def _move_up(top: int, place: _Place, root: str) -> None:
    """Give the tree the entries of the unpacked root, and remove all else that is in it."""
    folder = root.partition("/")[0]
    for entry in os.listdir(place.tree):
        if entry != folder:
            paths.remove_tree(top, entry)
    with paths.opened(_open_root(top, place, root)) as source:
        for entry in os.listdir(source):
            os.rename(entry, entry, src_dir_fd=source, dst_dir_fd=top)
    paths.remove_tree(top, folder)


def _open_root(top: int, place: _Place, root: str) -> int:
    """A descriptor of the unpacked root. What the list called a directory may have become a link since."""
    try:
        os.close(paths.open_plain(top, f"{root}/etc", os.O_PATH | os.O_DIRECTORY))
        return paths.open_plain(top, root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise place.refusal(f"holds no root file system: etc in it is no directory: {error.strerror}") from error
