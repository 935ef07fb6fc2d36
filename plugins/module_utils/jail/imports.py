# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_import``: a jail from a file that ``jail_export`` wrote."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from typing import Any

from ..errors import JailError
from ..kernel import paths
from ..rootfs import notes, storage
from . import importing
from .facet import Facet, Values, all_well, no_conflicts, parse_each
from .importing import KINDS, Wish
from .options import Option
from .plan import CREATE, Action, Request
from .plan_trees import plan_import

_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")


def wish(kind: str | None, checksum: str | None, trusted: bool) -> Wish:
    """What a user wants, by hand.

    :raises JailError: for words that mean nothing.
    """
    if kind not in (None, *KINDS):
        raise JailError(f"must be one of {', '.join(KINDS)}, not {kind!r}", option="storage")
    try:
        wanted = None if checksum is None else _parse_checksum(checksum)
    except ValueError as error:
        raise JailError(str(error), option="checksum") from error
    return Wish(kind or KINDS[0], wanted, trusted)


def _parse_checksum(value: str) -> str:
    small = value.lower()
    if not _CHECKSUM.fullmatch(small):
        raise ValueError(f"{value!r} is not a checksum: write sha256: and its 64 hexadecimal digits")
    return small


def _parse_src(value: str) -> str:
    if not value.startswith("/") or "\0" in value:
        raise ValueError(f"{value!r} is not an absolute path of the host")
    return value


def _imported_from(name: str) -> str | None:
    found: str | None = notes.read(name, notes.IMPORTED)
    return found


OPTIONS = (
    Option("src", type="path", parse=_parse_src, once=True),
    Option("storage", choices=KINDS, once=True),
    Option("checksum", parse=_parse_checksum, read_stored=_imported_from, once=True),
    Option("trusted", type="bool", once=True),
)

_parse_each = parse_each(OPTIONS)


def _parse(given: Values, recorded: Values) -> dict[str, Any]:
    if given.get("src") is None:
        raise JailError("an import needs a file", option="src", advice="name one")
    return {"storage": KINDS[0], "checksum": None, "trusted": False, **_parse_each(given, recorded)}


def _import(request: Request, _actions: Sequence[Action]) -> dict[str, Any]:
    values = request.values
    with paths.opened(os.open(values["src"], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)) as source:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise JailError(f"{values['src']} is not a regular file", option="src")
        wanted = Wish(values["storage"], values["checksum"], values["trusted"])
        return {"left_out": importing.read(request.name, source, wanted)}


FACET = Facet(
    name="import",
    options=OPTIONS,
    states=(),
    parse=_parse,
    plan=plan_import,
    exists=lambda name: storage.describe(name) is not None,
    conflicts=no_conflicts,
    perform={CREATE: _import},
    settle=all_well,
)
