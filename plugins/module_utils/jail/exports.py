# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_export``: a jail as a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from .. import files
from ..errors import JailError
from ..kernel import paths
from ..rootfs import snapshots
from ..rootfs.exports import confined_tar
from . import exporting
from .facet import Facet, Values, all_well, always, no_conflicts, parse_each
from .labels import parse_label
from .options import Option
from .plan import CREATE, Action, Request
from .plan_trees import plan_export

PLAIN = "none"


def _parse_dest(value: str) -> str:
    if not value.startswith("/") or "\0" in value:
        raise ValueError(f"{value!r} is not an absolute path of the host")
    if os.path.isdir(value):
        raise ValueError(f"{value} is a directory; name the file")
    return value


def _labels(name: str) -> list[str]:
    return [snapshot.label for snapshot in snapshots.of(name)]


OPTIONS = (
    Option("dest", type="path", parse=_parse_dest, once=True),
    Option("snapshot", parse=parse_label, read_stored=_labels, once=True),
    Option("compression", choices=(PLAIN, *confined_tar.COMPRESSIONS), once=True),
    Option("force", type="bool", once=True),
)

_parse_each = parse_each(OPTIONS)


def _parse(given: Values, recorded: Values) -> dict[str, Any]:
    """``force`` becomes whether there is anything to write."""
    if given.get("dest") is None:
        raise JailError("an export needs a file", option="dest", advice="name one")
    values = {"snapshot": None, "compression": PLAIN, "force": False, **_parse_each(given, recorded)}
    return {**values, "force": values["force"] or not os.path.lexists(values["dest"])}


def compression_of(word: str | None) -> str | None:
    """How to compress, by a word of the user's.

    :raises JailError: when it means nothing.
    """
    if word in (None, PLAIN):
        return None
    if word not in confined_tar.COMPRESSIONS:
        raise JailError(f"{word!r} is none of {', '.join(confined_tar.COMPRESSIONS)}", option="compression")
    return word


def _export(request: Request, _actions: Sequence[Action]) -> dict[str, Any]:
    compression = compression_of(request.values["compression"])
    with _written(request.values["dest"]) as target:
        written = exporting.export(request.name, request.values["snapshot"], compression, target)
    return {"checksum": f"sha256:{written.sha256}", "size": written.size}


@contextlib.contextmanager
def _written(path: str) -> Iterator[int]:
    """A descriptor of a new file that gets its name at the end of the ``with`` block. Until then it has another, which
    the next call that writes this file takes away."""
    half = f"{path}.part"
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()
    with files.locked(f"export-{digest[:32]}"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(half)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with paths.opened(os.open(half, flags, 0o600)) as descriptor:
                yield descriptor
                os.fsync(descriptor)
            os.rename(half, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(half)
            raise


FACET = Facet(
    name="export",
    options=OPTIONS,
    states=(),
    parse=_parse,
    plan=plan_export,
    exists=always,
    conflicts=no_conflicts,
    perform={CREATE: _export},
    settle=all_well,
)
