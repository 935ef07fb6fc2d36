# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the host for use inside confinement, on a tree that has none of its own or none that is trusted.

A small read-only file system with copies of the programs, of their libraries and of the dynamic loader. It is mounted
in the confinement only, beside the tree and never in it; nothing of the tree is needed to run them, and they are as
confined as everything there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ..kernel import mounts, paths
from ..kernel.mounts import NODEV, NOSUID, RDONLY
from . import hosttools, intree, libraries

PLACE = "/run/cellblock-tools"
"""Where a confinement finds the file system."""

SUBJECT = "/run/cellblock-tree/root"
"""Where a confinement finds a tree that it works on and that is not its root: no part of that is covered by mounts."""

_LIBRARIES = "lib"
_SIZE = str(256 << 20)


class Toolbox(NamedTuple):
    """What is in one.

    :param programs: the Debian package of each program of the host, by its name.
    :param files: further files, by their path in the toolbox.
    :param places: the paths of further programs of the host, by what they are called in the toolbox.
    """

    programs: Mapping[str, str]
    files: Mapping[str, bytes] = MappingProxyType({})
    places: Mapping[str, str] = MappingProxyType({})


@contextlib.contextmanager
def packed(toolbox: Toolbox) -> Iterator[int]:
    """A detached mount of a toolbox, for a ``with`` block. It can be attached once.

    :raises JailError: naming the package of a program that is missing.
    """
    attributes = NOSUID | NODEV
    with paths.opened(mounts.create("tmpfs", {"mode": "0755", "size": _SIZE}, attributes)) as root:
        intree.make_directory(root, _LIBRARIES)
        found = {program: hosttools.find(program, package) for program, package in toolbox.programs.items()}
        places = {**found, **toolbox.places}
        for program, path in places.items():
            _put(root, program, _read(path))
        for name, path in _needed(places).items():
            _put(root, name, _read(path))
        for name, content in toolbox.files.items():
            _make_room(root, name)
            _put(root, name, content)
        mounts.set_attributes(root, attributes | RDONLY)
        yield root


def command(program: str, *arguments: str) -> Sequence[str]:
    """How to run a program of the toolbox inside."""
    return [f"{PLACE}/{program}.loader", "--library-path", f"{PLACE}/{_LIBRARIES}", f"{PLACE}/{program}", *arguments]


def _needed(programs: Mapping[str, str]) -> dict[str, str]:
    """The loaders and libraries of programs: their paths on the host, by those in the toolbox."""
    found = {}
    for program, path in programs.items():
        loader = libraries.interpreter(_read(path))
        if loader is None:
            raise ValueError(f"{path} is no program with a dynamic loader")  # a mistake of the caller
        found[f"{program}.loader"] = loader
        for library in libraries.needed_by(path, loader):
            if library != loader:
                found[f"{_LIBRARIES}/{os.path.basename(library)}"] = library
    return found


def _put(root: int, path: str, content: bytes) -> None:
    """Write a file where there is none. It need not be on disk nor there at once: nobody else sees the file system
    before it is whole, and it is gone with us."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with paths.opened(paths.open_plain(root, path, flags, 0o755)) as descriptor:
        os.fchmod(descriptor, 0o755)
        paths.write_all(descriptor, content)


def _make_room(root: int, path: str) -> None:
    parts = path.split("/")[:-1]
    for count in range(len(parts)):
        intree.make_directory(root, "/".join(parts[: count + 1]))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
