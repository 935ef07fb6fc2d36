# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories of apk that a recipe means: what ``mirror`` is when the user leaves it out, and what the
architecture is called."""

from __future__ import annotations

import contextlib
import os
import re

from ...errors import JailError
from .. import repositories
from ..recipes import Recipe

HOST = "/etc/apk/repositories"
_ADVICE = "give mirror, such as https://mirror.example/alpine"
# apk-repositories(5): "@tag" may stand before the URL.
_LINE = re.compile(r"(?:@\S+\s+)?(\S+)/(?:v[0-9]+\.[0-9]+|edge|latest-stable)/[a-z0-9_-]+/?")


def urls(recipe: Recipe) -> list[str]:
    """The URLs of a recipe's repositories, which have a directory for each architecture below them.

    :raises JailError: when a mirror is needed and there is none.
    """
    mirror = recipe["mirror"]
    found = []
    for repository in recipe["repositories"]:
        if repositories.is_url(repository):
            found.append(repository)
        else:
            mirror = mirror or of_host()
            found.append(f"{mirror}/{recipe['release']}/{repository}")
    return found


def of_host(path: str = HOST) -> str:
    """The mirror that the host's own packages come from.

    :raises JailError: when the host is no Alpine Linux, or has no mirror on the net.
    """
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = _LINE.fullmatch(line.strip())
            if match and repositories.MIRROR.fullmatch(match[1]):
                return match[1]
    raise JailError(f"the host has no {path} with a mirror that could be used", "mirror", _ADVICE)


def architecture(recipe: Recipe) -> str:
    """What apk calls the architecture of a recipe; the host's where it says none."""
    return recipe["arch"] or os.uname().machine
