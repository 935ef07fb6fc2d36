# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the package manager of the tree takes packages from: all of its sources, in one file, in its own words.

Which package manager that is shows by its directory. Other files with sources would still hold: they are removed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Callable, NamedTuple

from ...errors import JailError
from .. import intree, treefiles
from .setting import Setting, one_line, spaced, text

_OPTION = "package_sources"


class _Manager(NamedTuple):
    """A package manager.

    :param folder: what a tree has that has it.
    :param file: the file for the sources.
    :param others: the directory, and the ends of names, of other files that it would take sources from.
    :param source: the grammar of a source, and ``like`` one.
    :param render: from sources to the lines of the file, and ``parse`` back.
    """

    folder: str
    file: str
    others: tuple[str, tuple[str, ...]]
    source: re.Pattern[str]
    like: str
    render: Callable[[Sequence[str]], list[str]]
    parse: Callable[[Sequence[str]], list[str]]


def _sections(sources: Sequence[str]) -> list[str]:
    """``ID URL [KEY]`` as in yum.conf(5)."""
    return [line for source in sources for line in _section(*source.split(" "))]


def _section(identifier: str, url: str, key: str = "") -> list[str]:
    keys = [f"gpgkey={key}"] if key else []
    return [f"[{identifier}]", f"name={identifier}", f"baseurl={url}", "enabled=1", "gpgcheck=1", *keys]


def _sources(lines: Sequence[str]) -> list[str]:
    """Back from sections; one that is not ours is given as it is, which is no source."""
    sections: list[list[str]] = []
    for line in lines:
        if line.startswith("[") or not sections:
            sections.append([])
        sections[-1].append(line)
    return [_source(section) for section in sections]


def _source(section: list[str]) -> str:
    values = dict(line.partition("=")[::2] for line in section[1:])
    words = [section[0].strip("[]"), values.get("baseurl", ""), values.get("gpgkey", "")]
    source = " ".join(word for word in words if word)
    ours = _YUM.source.fullmatch(source) and _sections([source]) == section
    return source if ours else " ".join(section)


_APT = _Manager(
    "etc/apt",
    "etc/apt/sources.list",
    ("etc/apt/sources.list.d", (".list", ".sources")),
    re.compile(r"deb(-src)? (\[[^\]]+\] )?[a-z+]+:\S+ \S+( \S+)*"),
    "deb http://mirror.example/debian bookworm main",
    list,
    list,
)
_APK = _Manager(
    "etc/apk",
    "etc/apk/repositories",
    ("etc/apk/repositories.d", (".list",)),
    re.compile(r"(@\S+ )?(https?://|/)\S+"),
    "http://mirror.example/alpine/v3.22/main",
    list,
    list,
)
_YUM = _Manager(
    "etc/yum.repos.d",
    "etc/yum.repos.d/jail.repo",
    ("etc/yum.repos.d", (".repo",)),
    re.compile(r"(?!deb )[A-Za-z0-9][A-Za-z0-9_.-]* (https?|file)://\S+( (https?|file)://\S+)?"),
    "base http://mirror.example/release/os/ file:///etc/pki/rpm-gpg/KEY",
    _sections,
    _sources,
)
_MANAGERS = (_APT, _APK, _YUM)


def _parse(value: Sequence[str]) -> list[str]:
    """In the words of any of them: which one the tree has shows when it is there."""
    lines = [spaced(one_line(line)) for line in value]
    for line in lines:
        if not any(manager.source.fullmatch(line) for manager in _MANAGERS):
            likes = " or ".join(repr(manager.like) for manager in _MANAGERS)
            raise ValueError(f"{line!r} is no source of packages; write it like {likes}")
    return lines


def _read(root: int) -> list[str]:
    manager = _find(root)
    if manager is None:
        return []
    others = [f"/{path}" for path in _others(root, manager)]
    lines = [spaced(line) for line in treefiles.lines_of(root, manager.file)]
    return [*manager.parse(lines), *others]


def _write(root: int, value: Sequence[str]) -> None:
    manager = _find(root)
    if manager is None:
        folders = " nor ".join(f"/{manager.folder}" for manager in _MANAGERS)
        raise JailError(f"its root file system has no package manager: neither {folders}", _OPTION, "leave it out")
    for source in value:
        if not manager.source.fullmatch(source):
            what = f"{source!r} means nothing to the package manager of its root file system"
            raise JailError(what, _OPTION, f"write it like {manager.like!r}")
    treefiles.put(root, manager.file, text(manager.render(value)))
    for path in _others(root, manager):
        intree.remove(root, path)


def _find(root: int) -> _Manager | None:
    return next((manager for manager in _MANAGERS if treefiles.is_directory(root, manager.folder)), None)


def _others(root: int, manager: _Manager) -> list[str]:
    folder, ends = manager.others
    found = [posixpath.join(folder, name) for name in intree.entries(root, folder) if name.endswith(ends)]
    return [path for path in found if path != manager.file]


SETTING = Setting(_parse, _read, _write)
