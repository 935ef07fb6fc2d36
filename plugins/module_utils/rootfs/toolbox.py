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
        for program, package in toolbox.programs.items():
            _pack(root, program, hosttools.find(program, package))
        for program, path in toolbox.places.items():
            _pack(root, program, path)
        for path, content in toolbox.files.items():
            _make_room(root, path)
            paths.write_file(root, path, content, 0o755)
        mounts.set_attributes(root, attributes | RDONLY)
        yield root


def command(program: str, *arguments: str) -> Sequence[str]:
    """How to run a program of the toolbox inside."""
    return [f"{PLACE}/{program}.loader", "--library-path", f"{PLACE}/{_LIBRARIES}", f"{PLACE}/{program}", *arguments]


def _pack(root: int, program: str, path: str) -> None:
    content = _read(path)
    paths.write_file(root, program, content, 0o755)
    loader = libraries.interpreter(content)
    if loader is None:
        raise ValueError(f"{path} is no program with a dynamic loader")  # a mistake of the caller
    paths.write_file(root, f"{program}.loader", _read(loader), 0o755)
    for library in libraries.needed_by(path, loader):
        name = os.path.basename(library)
        if library != loader:
            paths.write_file(root, f"{_LIBRARIES}/{name}", _read(library), 0o755)


def _make_room(root: int, path: str) -> None:
    parts = path.split("/")[:-1]
    for count in range(len(parts)):
        intree.make_directory(root, "/".join(parts[: count + 1]))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
