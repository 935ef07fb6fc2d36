# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of ``jail`` that keep, give back, write out and read in whole jails."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from . import table
from .errors import JailError

_SNAPSHOT_COLUMNS = ("NAME", "SNAPSHOT", "CREATED", "STORAGE", "TEMPLATE")


def add(verbs: Any, name: Callable[[str], str]) -> None:
    """Add them.

    :param verbs: of argparse, what ``add_subparsers`` gave.
    :param name: the type of a jail's name.
    """
    _add_snapshot(verbs, name)
    text = "write a jail that does not run, or a snapshot of it, to standard output"
    exporting = verbs.add_parser("export", help=text, description=text)
    exporting.add_argument("-s", "--snapshot", metavar="LABEL", help="a snapshot instead of the jail as it is")
    exporting.add_argument("-c", "--compress", metavar="FORMAT", help="compress it: gzip or zstd")
    exporting.add_argument("name", type=name)
    exporting.set_defaults(run=_export)
    text = "make a jail of an export, from standard input"
    importing = verbs.add_parser("import", help=text, description=text)
    importing.add_argument("-s", "--storage", metavar="KIND", help="what its files are kept in, as in jail_import")
    importing.add_argument("--checksum", metavar="sha256:HEX", help="refuse an export that has another")
    importing.add_argument(
        "--trusted", action="store_true", help="take over limits, network and isolation as the export has them"
    )
    importing.add_argument("name", type=name)
    importing.set_defaults(run=_import)


def _add_snapshot(verbs: Any, name: Callable[[str], str]) -> None:
    text = "keep jails as they are, and go back to that"
    snapshot = verbs.add_parser("snapshot", help=text, description=text)
    actions = snapshot.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = actions.add_parser("ls", help="list snapshots", description="list snapshots")
    listing.add_argument("name", type=name, nargs="?", help="of this jail only")
    listing.set_defaults(run=_list)
    for verb, state, text in (
        ("take", "present", "take a snapshot, unless there is one of this label"),
        ("rm", "absent", "remove a snapshot"),
        ("rollback", "rolled_back", "make a jail that does not run what it was"),
    ):
        action = actions.add_parser(verb, help=text, description=text)
        action.add_argument("name", type=name)
        action.add_argument("label")
        action.set_defaults(run=_snapshot, state=state)


def _list(options: argparse.Namespace) -> int:
    from .jail import info

    names = info.names() if options.name is None else [options.name]
    rows = [(name, *found.values()) for name in names for found in info.gather(name, ("snapshots",))["snapshots"]]
    sys.stdout.writelines(table.lines([_SNAPSHOT_COLUMNS, *rows]))
    return 0


def _snapshot(options: argparse.Namespace) -> int:
    from .jail import converge, snapshot

    wish = {"name": options.name, "snapshot": options.label, "state": options.state}
    outcome = converge.converge(snapshot.FACET, [wish], check=False)[options.name]
    if outcome.error is not None:
        raise JailError(outcome.error)
    return 0


def _export(options: argparse.Namespace) -> int:
    from .jail import exporting, exports, live, store

    if os.isatty(1):
        raise JailError("an export is nothing for a terminal", advice="send it to a file or another program")
    live.expect_known(options.name)
    compression = exports.compression_of(options.compress)
    with store.locked(options.name):
        exporting.export(options.name, options.snapshot, compression, 1)
    return 0


def _import(options: argparse.Namespace) -> int:
    from .jail import importing, imports, naming, store
    from .rootfs import storage

    if os.isatty(0):
        raise JailError("there is no export to read", advice="give it one from a file or another program")
    wish = imports.wish(options.storage, options.checksum, options.trusted)
    with store.locked(options.name):
        if storage.describe(options.name) is not None:
            raise JailError("it has a root file system already", advice="import under another name")
        left_out = importing.read(options.name, 0, wish)
    for other, why in naming.refresh().items():
        sys.stderr.write(f"jail: {other} does not know the other jails: {why}\n")
    if left_out:
        sys.stderr.write(f"jail: {options.name}: not taken from an export that is not trusted: {', '.join(left_out)}\n")
    return 0
