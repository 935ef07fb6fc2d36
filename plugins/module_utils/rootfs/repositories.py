# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Package repositories as the user writes them, to what a recipe holds.

Pure, like :mod:`.recipes`. What is accepted goes to command lines and into configuration files of the host and of
jails: no blanks, no quotes, no characters of a shell.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any, Optional

Repository = dict[str, Optional[str]]
"""A repository of dnf: ``name``, ``baseurl`` and ``gpgkey``, the path of a file on the host or ``None``."""

# debootstrap is a shell script and expands mirrors unquoted: none of the shell's characters, and none of a URL's that
# a mirror has no use for. No "@": a password would end up in the package configuration of every jail.
MIRROR = re.compile(r"(https?://[A-Za-z0-9.\[\]:_-]+(/[A-Za-z0-9._~+:,=%/-]*)?|file:///[A-Za-z0-9._~+:,=%/-]+)")
PATH = re.compile(r"/(?!/)[!-~]+")

_VARIABLE = re.compile(r"\$(releasever|basearch|arch)(?![A-Za-z0-9_])")  # dnf.conf(5), "VARIABLES"
_ALPINE_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_RPM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RESERVED = "main"  # dnf.conf(5): the section that is no repository
_KEYS = ("name", "baseurl", "gpgkey")


def path(value: Any) -> str:
    """An absolute path of the host.

    :raises ValueError: a sentence that says what would be right; so do all functions of this module.
    """
    if not isinstance(value, str) or not PATH.fullmatch(value):
        raise ValueError(f"{value!r} is not an absolute path of the host in plain ASCII, without blanks")
    if posixpath.normpath(value) != value:
        raise ValueError(f"{value!r} is not in its shortest form, which is {posixpath.normpath(value)}")
    return value


def is_url(repository: str) -> bool:
    """Whether a repository of apk is a whole URL, not the name of one of Alpine's."""
    return "://" in repository


def of_apk(value: Any) -> str:
    """A repository of apk: a name of Alpine's such as ``community``, or a URL."""
    if isinstance(value, str) and _ALPINE_NAME.fullmatch(value):
        return value
    if isinstance(value, str) and MIRROR.fullmatch(value):
        return value.rstrip("/")
    raise ValueError(
        f"{value!r} is neither a repository of Alpine such as community nor a URL such as "
        "https://mirror.example/alpine/v3.22/main, without user or password"
    )


def of_dnf(value: Any) -> list[Repository]:
    """The repositories of dnf, sorted by name. Each is a URL, which gives it its name, or a :data:`Repository`."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{value!r} is not a list")
    found = [_of_dnf(item) for item in value]
    unique = [each for number, each in enumerate(found) if each not in found[:number]]
    names = [_name(each) for each in unique]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two of them are called {twice[0]}")
    return sorted(unique, key=_name)


def _name(repository: Repository) -> str:
    return str(repository["name"])


def _of_dnf(value: Any) -> Repository:
    if isinstance(value, str):
        url = _base_url(value)
        return {"name": _name_of_url(url), "baseurl": url, "gpgkey": None}
    if not isinstance(value, Mapping) or not {"name", "baseurl"} <= set(value) <= set(_KEYS):
        raise ValueError(f"{value!r} is neither a URL nor a name, a baseurl and perhaps a gpgkey")
    name = value["name"]
    if not isinstance(name, str) or not _RPM_NAME.fullmatch(name) or name == _RESERVED:
        raise ValueError(f"{name!r} is not a name of a repository such as fedora-updates")
    key = value.get("gpgkey")
    return {"name": name, "baseurl": _base_url(value["baseurl"]), "gpgkey": None if key is None else path(key)}


def _base_url(value: Any) -> str:
    if not isinstance(value, str) or not MIRROR.fullmatch(_VARIABLE.sub("x", value)):
        raise ValueError(
            f"{value!r} is not a URL such as https://mirror.example/fedora/$releasever/$basearch, without user or "
            "password"
        )
    return value.rstrip("/")


def _name_of_url(url: str) -> str:
    """What is left of a URL when all that a name cannot have is a dash."""
    return re.sub(r"[^A-Za-z0-9]+", "-", url.partition("://")[2]).strip("-").lower()
