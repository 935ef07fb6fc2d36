# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package archives that the host itself uses: what ``mirror`` is when the user leaves it out."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from ...errors import JailError
from .. import hosttools, repositories

_OS_RELEASE = "/etc/os-release"
_ADVICE = "give mirror, such as http://mirror.example/debian"
_POCKETS = ("-updates", "-security")


class Archive(NamedTuple):
    """A line of the host's apt sources, taken apart: one for each component."""

    release: str
    component: str
    uri: str


def archives() -> list[Archive]:
    """What apt-get(8) ``indextargets`` names, in the host's order; only plain http, https and file archives.

    :raises JailError: when the host has no apt.
    """
    program = hosttools.look_up("apt-get")
    if program is None:
        raise JailError("the host has no apt whose mirror could be used", "mirror", _ADVICE)
    wanted = "$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)"
    status, text = hosttools.output_of([program, "indextargets", "--format", wanted])
    if status:
        raise JailError(f"apt-get indextargets ended with status {status}: {text.strip()}", "mirror", _ADVICE)
    rows = [line.split(" ") for line in text.splitlines()]
    found = [Archive(row[1], row[2], row[3].rstrip("/")) for row in rows if len(row) == 4 and row[0] == "Packages"]
    return [archive for archive in dict.fromkeys(found) if repositories.MIRROR.fullmatch(archive.uri)]


def mirror() -> str:
    """The archive that the host's own release comes from.

    :raises JailError: when apt has no such line; says to give ``mirror``.
    """
    codename = _codename()
    for archive in archives():
        if archive.release == codename and archive.component == "main":
            return archive.uri
    what = f"the host's apt sources have no mirror of the host's own release ({codename or 'unknown'})"
    raise JailError(what, "mirror", _ADVICE)


def pockets(suite: str, components: list[str]) -> list[str]:
    """Lines for a ``sources.list``: the updates and security archives of ``suite`` that the host itself uses."""
    known = archives()
    lines = []
    for pocket in _POCKETS:
        for uri in dict.fromkeys(archive.uri for archive in known if archive.release == suite + pocket):
            words = [word for word in components if Archive(suite + pocket, word, uri) in known]
            if words:
                lines.append(f"deb {uri} {suite}{pocket} {' '.join(words)}")
    return lines


def _codename() -> str:
    """``VERSION_CODENAME`` of os-release(5); empty where there is none."""
    try:
        with open(_OS_RELEASE, encoding="utf-8") as file:
            words = shlex.split(file.read(), comments=True)
    except OSError:
        return ""
    return dict(word.partition("=")[::2] for word in words).get("VERSION_CODENAME", "")
