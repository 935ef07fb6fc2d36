# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories that method ``dnf`` takes packages from, and the keys that must have signed them: those of the
recipe, or else those that the host itself uses."""

from __future__ import annotations

import configparser
import glob
import os
import re
from collections.abc import Iterable, Sequence
from typing import Callable, NamedTuple

from ...errors import JailError
from ..fetching import download
from ..recipes import Recipe

HOST = "/etc/yum.repos.d"
_ADVICE = "give repositories, such as [https://mirror.example/fedora/$releasever/$basearch], and gpgkeys"
_LOCATIONS = ("baseurl", "metalink", "mirrorlist")  # dnf.conf(5), in the order in which one is chosen here
_SIGNATURE_LIMIT = 1 << 20
_KEY_LIMIT = 1 << 20
_KEY_PREFIX = "RPM-GPG-KEY"
_ODD = re.compile(r"[^A-Za-z0-9._-]")


class Source(NamedTuple):
    """A repository.

    :param location: how ``url`` is to be read: a name of :data:`_LOCATIONS`. It may hold variables of dnf.
    :param keys: the paths of files of the host.
    """

    name: str
    location: str
    url: str
    keys: Sequence[str]


def sources(recipe: Recipe) -> list[Source]:
    """The repositories of a recipe.

    :raises JailError: when it has none and the host's own cannot be used.
    """
    given = [
        Source(each["name"], "baseurl", each["baseurl"], [each["gpgkey"]] if each["gpgkey"] else recipe["gpgkeys"])
        for each in recipe["repositories"]
    ]
    return given or of_host(recipe["release"], recipe["arch"] or os.uname().machine, recipe["gpgkeys"])


def of_host(release: str, arch: str, keys: Sequence[str], folder: str = HOST) -> list[Source]:
    """The repositories that are enabled in the host's own configuration.

    :param keys: in the place of those that are named there, if there are any.
    :raises JailError: when there is none, or one names no key that is a file of the host.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(sorted(glob.glob(os.path.join(folder, "*.repo"))), encoding="utf-8")
    found = []
    for name in parser.sections():
        section = parser[name]
        location = next((each for each in _LOCATIONS if section.get(each)), None)
        if location is not None and section.get("enabled", "1").strip().lower() in ("1", "yes", "true", "on"):
            named = keys or _host_keys(section.get("gpgkey", ""), release, arch)
            if not named:
                raise JailError(f"the host's repository {name} names no key that is a file", "gpgkeys", _ADVICE)
            found.append(Source(name, location, section[location].split()[0], named))
    if not found:
        raise JailError(f"the host has no repositories in {folder} that could be used", "repositories", _ADVICE)
    return found


def _host_keys(text: str, release: str, arch: str) -> list[str]:
    urls = _expanded(text, release, arch).replace(",", " ").split()
    return [url[len("file://") :] for url in urls if url.startswith("file:///")]


def section(source: Source, keys: Iterable[str], signed_index: bool = False) -> str:
    """A repository as dnf.conf(5) has it.

    :param keys: URLs.
    :param signed_index: whether the index must be signed too; packages must in any case.
    """
    lines = [
        f"[{source.name}]",
        f"name={source.name}",
        f"{source.location}={source.url}",
        "enabled=1",
        "gpgcheck=1",
        f"repo_gpgcheck={int(signed_index)}",
        f"gpgkey={' '.join(keys)}",
    ]
    return "\n".join(lines) + "\n"


def has_signed_index(source: Source, recipe: Recipe, note: Callable[[str], None]) -> bool:
    """Whether a repository offers a signature of its ``repomd.xml``. It is not looked into.

    :param note: as for :func:`.download.content`.
    """
    url = _expanded(source.url, recipe["release"], recipe["arch"] or os.uname().machine)
    try:
        download.content(f"{url}/repodata/repomd.xml.asc", _SIGNATURE_LIMIT, note)
    except JailError:
        return False
    return source.location == "baseurl"


def _expanded(text: str, release: str, arch: str) -> str:
    """With the variables of dnf replaced by what they are for a system of this release and architecture."""
    for variable, value in (("$releasever", release), ("$basearch", arch), ("$arch", arch)):
        text = text.replace(variable, value)
    return text


def key_names(found: Iterable[Source]) -> dict[str, str]:
    """What the files of their keys are called in a jail, by their path on the host; each name once."""
    names: dict[str, str] = {}
    for path in dict.fromkeys(path for source in found for path in source.keys):
        plain = _ODD.sub("_", os.path.basename(path))
        name = plain if plain.startswith(_KEY_PREFIX) else f"{_KEY_PREFIX}-{plain}"
        names[path] = name if name not in names.values() else f"{name}-{len(names)}"
    return names


def read_key(path: str) -> bytes:
    """What is in a file of keys.

    :raises JailError: when it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(_KEY_LIMIT)
    except OSError as error:
        raise JailError(f"the key {path} cannot be read: {error.strerror}", "gpgkeys") from error
