# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random operations on a tree, from a pool of few names so that they meet."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import paths, process

TIMES = (1_600_000_000_000_000_000, 1_700_000_000_123_456_789)

Operation = tuple[Any, ...]

_NAMES = ("usr", "etc", "a", "b")

_PATHS = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map("/".join)

_CONTENT = st.sampled_from(("", "one", "two" * 2000, "six" * 2000))

_ATTRIBUTES = ("user.x", "user.overlay.overlay.opaque", "security.capability")

_OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.tuples(st.just("write"), _PATHS, _CONTENT, st.sampled_from((0o644, 0o755, 0o4711))),
    st.tuples(st.just("folder"), _PATHS, st.sampled_from((0o755, 0o1777, 0o2750))),
    st.tuples(st.just("symlink"), _PATHS, st.sampled_from(("usr", "../a", "/etc/b", "nowhere"))),
    st.tuples(st.just("link"), _PATHS, _PATHS),
    st.tuples(st.just("rename"), _PATHS, _PATHS),
    st.tuples(st.just("remove"), _PATHS),
    st.tuples(st.just("node"), _PATHS, st.sampled_from((stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK))),
    st.tuples(st.just("owner"), _PATHS, st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("attribute"), _PATHS, st.sampled_from(_ATTRIBUTES)),
    st.tuples(st.just("time"), _PATHS, st.sampled_from(TIMES)),
    st.tuples(st.just("append"), _PATHS, st.sampled_from(("more", "less"))),
    st.tuples(st.just("anew"), _PATHS),
)

_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


# What a jail sets as the first is the second on disk.
_INSIDE, _ON_DISK = "user.overlay.", "user.overlay.overlay."


def carry_out(root: int, operations: Sequence[Operation], mark: str = _INSIDE) -> None:
    """Go into a tree for good and do all of it that can be done; the rest has no effect. Times come out the same in
    every run."""
    os.fchdir(root)
    os.chroot(".")
    os.umask(0)
    for kind, path, *rest in operations:
        values = [rest[0].replace(_ON_DISK, mark)] if kind == "attribute" else rest
        with contextlib.suppress(OSError):
            _DOERS[kind](path, *values)
            if kind != "time":
                _stamp(path)
            _stamp(os.path.dirname(path) or ".")


def _stamp(path: str, time: int = TIMES[0]) -> None:
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time, time), follow_symlinks=False)


def _write(path: str, content: str, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
    with paths.opened(os.open(path, flags, 0o600)) as file:
        os.write(file, content.encode())
        os.fchmod(file, mode)


def _append(path: str, content: str) -> None:
    with paths.opened(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
        os.write(file, content.encode())


def _folder(path: str, mode: int) -> None:
    os.mkdir(path)
    os.chmod(path, mode)


def _remove(path: str) -> None:
    os.lstat(path)
    with paths.opened(os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY)) as parent:
        paths.remove_tree(parent, os.path.basename(path))


def _anew(path: str) -> None:
    """Put an empty directory in the place of another: an opaque one, where there is a lower one."""
    os.listdir(path)
    _remove(path)
    os.mkdir(path, 0o755)


def _attribute(path: str, name: str) -> None:
    os.setxattr(path, name, _CAPABILITY if name == "security.capability" else b"y", follow_symlinks=False)


_DOERS: dict[str, Callable[..., None]] = {
    "write": _write,
    "folder": _folder,
    "symlink": lambda path, target: os.symlink(target, path),
    "link": lambda path, other: os.link(path, other, follow_symlinks=False),
    "rename": os.rename,
    "remove": _remove,
    "node": lambda path, kind: os.mknod(path, kind | 0o640, os.makedev(1, 3)),
    "owner": lambda path, uid, gid: os.chown(path, uid, gid, follow_symlinks=False),
    "attribute": _attribute,
    "time": _stamp,
    "append": _append,
    "anew": _anew,
}

_BEGINNING: list[Operation] = [
    *(("folder", path, 0o755) for path in ("usr", "usr/a", "usr/b", "usr/a/b", "etc", "a", "a/usr", "b", "b/b")),
    *(("write", path, path * 1000, 0o644) for path in ("usr/etc", "usr/a/usr", "usr/a/a", "usr/b/b", "etc/a", "a/b")),
    ("link", "usr/a/usr", "usr/a/etc"),
    ("link", "usr/b/b", "usr/b/a"),
    ("link", "usr/b/b", "b/a"),
    ("symlink", "usr/b/etc", "../a"),
    ("write", "usr/b/usr", "x" * 9000, 0o4755),
    ("owner", "usr/b/usr", 1, 2),
    ("attribute", "usr/etc", "user.x"),
    ("attribute", "usr/a/a", "security.capability"),
    ("node", "a/etc", stat.S_IFIFO),
    ("node", "b/etc", stat.S_IFCHR),
]
"""What every template begins with: without something to work on few operations have an effect."""


def filled(operations: Sequence[Operation]) -> Callable[[str], None]:
    """Fills a template's tree."""

    def fill(tree: str) -> None:
        with paths.opened(os.open(tree, os.O_RDONLY | os.O_DIRECTORY)) as root:
            work = [*_BEGINNING, *operations]
            assert process.wait(process.fork(lambda: carry_out(root, work, _ON_DISK))) == 0

    return fill


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Operation], list[Operation], list[Operation]]:
    """What makes the old template, what leads from it to the new one, and what the jail did: some of that, in that
    order, and things of its own."""
    first = draw(st.lists(_OPERATIONS, max_size=10))
    upgrade = draw(st.lists(_OPERATIONS, max_size=12))
    done = upgrade if draw(st.booleans()) else [each for each in upgrade if draw(st.booleans())]
    own = draw(st.lists(_OPERATIONS, max_size=12))
    cut = draw(st.integers(0, len(own)))
    return first, upgrade, [*own[:cut], *done, *own[cut:]]
