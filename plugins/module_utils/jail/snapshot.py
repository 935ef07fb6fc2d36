# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_snapshot``: a jail's tree and desired state, kept under a label and given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import JailError
from ..rootfs import notes, snapshots, storage
from . import adopt, desired, network, size, store
from .adopt import Coming
from .desired import Desired
from .facet import Facet, Values, all_well, always, no_conflicts, parse_each
from .labels import parse_label
from .options import Option
from .plan import CREATE, REMOVE, ROLL_BACK, Action, Request
from .plan_trees import Shelf, plan_snapshot


def _read_shelf(name: str) -> Shelf:
    stored = storage.describe(name)
    now = desired.read(name)
    kept = {snapshot.label: snapshot for snapshot in snapshots.of(name)}
    same = notes.read(name, notes.SAME)
    return Shelf(
        still=stored is not None and not stored.store.atomic,
        same=next((label for label, snapshot in kept.items() if snapshot.identity == same), None),
        desired=_words(now),
        snapshots={label: _words(snapshot.note["desired"]) for label, snapshot in kept.items()},
        clashes=_clashes(name, now, {label: snapshot.note["desired"] for label, snapshot in kept.items()}),
    )


def _words(values: Desired) -> dict[str, Any]:
    """How a jail is to run, and what its root file system was made of, by option."""
    return {option: value for words in desired.in_words(values).values() for option, value in words.items()}


def _clashes(name: str, now: Desired, kept: Mapping[str, Desired]) -> dict[str, str]:
    """What the network of each snapshot would conflict with, where it is not the jail's own of today."""
    others = {label: then.get("net", {}) for label, then in kept.items() if then.get("net", {}) != now.get("net", {})}
    found = {label: network.clash(name, net) for label, net in others.items()}
    return {label: sentence for label, sentence in found.items() if sentence is not None}


OPTIONS = (Option("snapshot", parse=parse_label, read_stored=_read_shelf, once=True),)

_parse_each = parse_each(OPTIONS)


def _parse(given: Values, recorded: Values) -> dict[str, Any]:
    if given.get("snapshot") is None:
        raise JailError("every call is about one snapshot", option="snapshot", advice="give its label")
    return _parse_each(given, recorded)


def _take(request: Request, _actions: Sequence[Action]) -> None:
    snapshots.take(request.name, request.values["snapshot"], {"desired": desired.read(request.name)})


def _remove(request: Request, _actions: Sequence[Action]) -> None:
    snapshots.remove(request.name, request.values["snapshot"])


def _roll_back(request: Request, _actions: Sequence[Action]) -> None:
    """Storage and desired state take the place of the present ones by one rename."""
    name = request.name
    with snapshots.held(name, request.values["snapshot"]) as snapshot:
        then = snapshot.note["desired"]
        kept = then.get("net", {}).get("interfaces", [])
        released = [each for each in store.read(name, "net").get("interfaces", []) if each not in kept]
        made = storage.copied if storage.describe(name) is None else storage.replaced
        with made(name, snapshot.storage) as copy:
            size.give(copy, then.get("rootfs", {}))
            notes.write(copy.folder, notes.SAME, snapshot.identity)
            adopt.bring(copy.folder, Coming({facet: then.get(facet) for facet in store.FACETS}, released))
    adopt.settle(name)


FACET = Facet(
    name="snapshot",
    options=OPTIONS,
    states=("present", "absent", "rolled_back"),
    parse=_parse,
    plan=plan_snapshot,
    exists=always,
    conflicts=no_conflicts,
    perform={CREATE: _take, REMOVE: _remove, ROLL_BACK: _roll_back},
    settle=all_well,
)
