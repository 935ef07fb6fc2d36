# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``skeleton``: the smallest tree that runs, like util-vserver's method of that name.

Directories, the handful of files that libraries look for, and chosen programs of the host with the libraries they
need. A busybox brings the links for all its applets. Nothing of the tree runs while it is made.
"""

from __future__ import annotations

import contextlib
import os
import posixpath

from ...errors import JailError
from ...kernel import paths
from .. import hosttools, intree, libraries
from ..builder import Confine
from ..buildlog import BuildLog
from ..recipes import Recipe

_MERGED = ("bin", "sbin", "lib", "lib64")
_DIRECTORIES = (
    *("dev", "etc", "home", "mnt", "opt", "run", "srv"),
    *("usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/local", "usr/share"),
    *("var", "var/cache", "var/lib", "var/log", "var/spool"),
)
_OTHER_MODES = {"proc": 0o555, "sys": 0o555, "root": 0o700, "tmp": 0o1777, "var/tmp": 0o1777}
_LINKS = {**{name: f"usr/{name}" for name in _MERGED}, "var/run": "/run", "var/lock": "/run/lock"}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
}
_SHADOW = "root:*:::::::\nnobody:*:::::::\n"  # no password opens either


def build(recipe: Recipe, tree: str, _confine: Confine, log: BuildLog) -> None:
    """Build the tree; see :data:`..builder.Builder`."""
    with paths.opened(paths.open_directory(tree)) as root:
        _make_base(root)
        programs = [_locate(binary) for binary in recipe["binaries"]]
        for path in programs:
            log.note(f"I: copying {path}")
            _copy_program(root, path)
        # After all copies: a link never takes the place of a program that was asked for.
        for path in programs:
            for applet in _applets(path):
                _link(root, applet, path)


def _make_base(root: int) -> None:
    for name in _DIRECTORIES:
        intree.make_directory(root, name)
    for name, mode in _OTHER_MODES.items():
        intree.make_directory(root, name, mode)
    for name, target in _LINKS.items():
        _link(root, name, target)
    for name, content in _FILES.items():
        paths.write_file(root, name, content.encode())
    paths.write_file(root, "etc/shadow", _SHADOW.encode(), 0o600)
    intree.forget_identity(root)


def _locate(binary: str) -> str:
    path = binary if binary.startswith("/") else hosttools.look_up(binary)
    if path is None or not os.path.isfile(path):
        raise JailError(f"the host has no program {binary}", "binaries", "install it on the host or leave it out")
    return path


def _copy_program(root: int, path: str) -> None:
    with open(path, "rb") as file:
        loader = libraries.interpreter(file.read())
    _copy(root, path)
    for library in libraries.needed_by(path, loader, "binaries") if loader else []:
        _copy(root, library)


def _copy(root: int, path: str) -> None:
    """Copy a file of the host to the same place in the tree; what is a link on the host is a file there."""
    with open(path, "rb") as file:
        # Without set-user-ID and set-group-ID: they would be given to the ids of a jail that did not ask for them.
        mode = os.fstat(file.fileno()).st_mode & 0o777
        paths.write_file(root, _make_room(root, path), file.read(), mode)


def _link(root: int, path: str, target: str) -> None:
    folder, name = os.path.split(_make_room(root, path))
    parent = paths.open_plain(root, folder or "/", os.O_PATH | os.O_DIRECTORY)
    with paths.opened(parent), contextlib.suppress(FileExistsError):
        os.symlink(target, name, dir_fd=parent)


def _make_room(root: int, path: str) -> str:
    """Where the host's ``path`` is in the tree, whose ``/bin`` and ``/lib`` are links; makes the directory for it."""
    place = posixpath.normpath(path).lstrip("/")
    first, _slash, rest = place.partition("/")
    if first in _MERGED and rest:
        place = f"usr/{place}"
    parts = place.split("/")[:-1]
    for count in range(len(parts)):
        intree.make_directory(root, "/".join(parts[: count + 1]))
    return place


def _applets(path: str) -> list[str]:
    """Where the links of a busybox belong; none for any other program. It is the host's own that is asked."""
    if not os.path.basename(os.path.realpath(path)).startswith("busybox"):
        return []
    status, text = hosttools.output_of([path, "--list-full"])
    if status:  # built without CONFIG_FEATURE_INSTALLER
        status, text = hosttools.output_of([path, "--list"])
    if status:
        return []
    names: list[str | None] = [_applet(line.strip()) for line in text.splitlines()]
    return [name for name in names if name]


def _applet(name: str) -> str | None:
    if not name or ".." in name or name.startswith("/"):
        return None
    return name if "/" in name else f"usr/bin/{name}"
