# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of the modules that keep, give back, write out and read in whole jails. Pure, as :mod:`plan` is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import JailError
from .options import Option
from .plan import CREATE, REMOVE, ROLL_BACK, Action, Plan, Request, Situation


class Shelf(NamedTuple):
    """What there is of a jail's snapshots.

    :param still: whether a snapshot can be taken of the jail only while it does not run.
    :param same: the snapshot that its tree is a copy of, when nothing was written there since.
    :param desired: how it is to run, in the user's words, by option.
    :param snapshots: the same of each snapshot, by label.
    :param clashes: why a snapshot's network cannot be given back to it, by label.
    """

    still: bool
    same: str | None
    desired: Mapping[str, Any]
    snapshots: Mapping[str, Mapping[str, Any]]
    clashes: Mapping[str, str]


def plan_snapshot(_options: Sequence[Option], request: Request, situation: Situation) -> Plan:
    """A snapshot is taken once, and a jail whose tree and desired state are a snapshot's is not rolled back to it.

    :raises JailError: when the jail has to stand still and runs, or there is no such snapshot to go back to.
    """
    label, shelf = request.values["snapshot"], situation.live["snapshot"]
    there = label in shelf.snapshots
    stop = f"stop it first: jail_state name={request.name} state=stopped"
    if request.state == "absent":
        return Plan([Action("snapshot", label, None, REMOVE)] if there else [], [])
    if request.state == "rolled_back":
        if not there:
            raise _no_such_snapshot(label, shelf.snapshots)
        changes = _differences(shelf.desired, shelf.snapshots[label])
        if shelf.same == label and not changes:
            return Plan([], [])
        if situation.running:
            raise JailError("the jail runs", advice=stop)
        if label in shelf.clashes:
            raise JailError(shelf.clashes[label], option="snapshot", advice="change the other jail's interfaces first")
        return Plan([Action("snapshot", None, label, ROLL_BACK), *changes], [])
    if not there and situation.running and shelf.still:
        advice = f"{stop}; with storage=btrfs it could run on"
        raise JailError("the jail runs, and a copy of its files would hold them half changed", advice=advice)
    return Plan([] if there else [Action("snapshot", None, label, CREATE)], [])


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Action]:
    names = sorted({*before, *after})
    return [
        Action(name, before.get(name), after.get(name), ROLL_BACK)
        for name in names
        if before.get(name) != after.get(name)
    ]


def plan_export(_options: Sequence[Option], request: Request, situation: Situation) -> Plan:
    """An export is written where there is none, or where it is to be written anew (``force``).

    :raises JailError: when the jail runs, or has no such snapshot.
    """
    label, labels = request.values["snapshot"], situation.live["snapshot"]
    if not request.values["force"]:
        return Plan([], [])
    if label is None and situation.running:
        advice = f"stop it first (jail_state name={request.name} state=stopped), or export a snapshot of it"
        raise JailError("the jail runs, and an export of its files would hold them half changed", advice=advice)
    if label is not None and label not in labels:
        raise _no_such_snapshot(label, labels)
    return Plan([Action("dest", None, request.values["dest"], CREATE)], [])


def plan_import(_options: Sequence[Option], request: Request, situation: Situation) -> Plan:
    """A jail is imported once.

    :raises JailError: when it has a root file system that came from somewhere else.
    """
    if not situation.exists:
        made = Action("src", None, request.values["src"], CREATE)
        return Plan([Action("state", "absent", "present", CREATE), made], [])
    advice = f"import under another name, or remove it first: jail_state name={request.name} state=absent"
    wanted, found = request.values["checksum"], situation.live["checksum"]
    if found is None:
        raise JailError("it has a root file system that was not imported", option="name", advice=advice)
    if wanted not in (None, found):
        what = f"it was imported from an export with the checksum {found}, not {wanted}"
        raise JailError(what, option="checksum", advice=advice)
    return Plan([], [])


def _no_such_snapshot(label: str, labels: Iterable[str]) -> JailError:
    return JailError(f"it has no snapshot {label}; it has: {', '.join(labels) or 'none'}", option="snapshot")
