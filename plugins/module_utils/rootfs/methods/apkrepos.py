# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories of Alpine packages as they are fetched: the index first, and by what it says the packages."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple

from ...errors import JailError
from .. import space
from ..fetching import download
from . import apkfiles
from .apkfiles import Entry, Split

INDEX = "APKINDEX.tar.gz"
_INDEX_MAX = 64 << 20
_STATIC_PACKAGE, _STATIC = "apk-tools-static", "sbin/apk.static"

Note = Callable[[str], None]
Check = Callable[[str, Split], None]
"""``check(what, beginning)`` raises :class:`JailError`, beginning with ``what``, unless a trusted key has signed."""


class Repository(NamedTuple):
    """One whose index has been checked: its URL, that file as it is, and its packages by name and version."""

    url: str
    file: bytes
    packages: Mapping[tuple[str, str], Entry]


def fetch(url: str, arch: str, check: Check, note: Note) -> Repository:
    """Fetch an index. Nothing of it but its signature is looked at before ``check`` has let it pass.

    :param url: has a directory for each architecture below it.
    :raises JailError: when it cannot be had, or is not what it should be.
    """
    place = f"{url}/{arch}/{INDEX}"
    index = download.content(place, _INDEX_MAX, note)
    try:
        beginning = apkfiles.split(index)
        if beginning.end != len(index):
            raise ValueError("has more behind what is signed")
        check(place, beginning)
        packages = apkfiles.packages(beginning.signed)
    except ValueError as error:
        raise JailError(f"{place} {error}", "repositories") from error
    return Repository(url, index, {(entry.name, entry.version): entry for entry in packages})


def fetch_package(repository: Repository, entry: Entry, folder: str, note: Note) -> str:
    """The path of a package's file, which is the one that the index means.

    :param folder: in whose file system there must be room for it.
    :raises JailError: when it cannot be had.
    """
    url = f"{repository.url}/{entry.arch}/{entry.file}"
    most, name = space.room(folder).bytes, f"apk-{entry.control.hex()}"
    return download.fetch_checked(url, name, most, note, lambda descriptor: _check(url, descriptor, entry))


def fetch_static(repositories: Sequence[Repository], check: Check, folder: str, note: Note) -> bytes:
    """The program ``apk.static`` of the first repository that has it; its package must be signed as an index must.

    :param folder: as for :func:`fetch_package`.
    :raises JailError: when none has it, or it is not what it should be.
    """
    offers = ((each, entry) for each in repositories for entry in each.packages.values())
    repository, entry = next(((each, entry) for each, entry in offers if entry.name == _STATIC_PACKAGE), (None, None))
    if repository is None or entry is None:
        advice = "add main, or give apk, a program of the host"
        raise JailError(f"no repository has the package {_STATIC_PACKAGE}", "repositories", advice)
    with open(fetch_package(repository, entry, folder, note), "rb") as file:
        try:
            beginning = apkfiles.check_package(file, entry)
            check(entry.file, beginning)
            return apkfiles.program(file, beginning, _STATIC)
        except ValueError as error:
            raise JailError(f"{entry.file} {error}", "repositories") from error


def _check(url: str, descriptor: int, entry: Entry) -> None:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        try:
            apkfiles.check_package(file, entry)
        except ValueError as error:
            raise JailError(f"{url} {error}", "repositories") from error
