# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Method ``clone`` of ``jail_rootfs``: a jail made of another jail, or of a snapshot of one.

No recipe of a template: the clone has its source's template beneath it, and so its trust group, and a copy of what the
source wrote. It runs as the source does, but for host name and network, which cannot be those of two jails, and its
next start gives it an identity of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import JailError
from ..rootfs import snapshots, storage
from ..rootfs.storage import Storage
from . import adopt, identity, live, names, size, store
from .adopt import Coming
from .facet import Values
from .labels import parse_label
from .options import Option

METHOD = "clone"

OPTIONS = (Option("source", fixed=True), Option("snapshot", fixed=True))

_OWN = ("method", "source", "snapshot", "storage")


def parse(name: str, given: Values, recorded: Values) -> dict[str, Any]:
    """The canonical values of a clone.

    :param given: as the user wrote them, without those that were left out.
    :raises JailError: for what makes no clone.
    """
    strangers = sorted(set(given) - set(_OWN))
    if strangers:
        raise JailError("means nothing to method clone, leave it out", option=strangers[0])
    whole = {**recorded, **given}
    if whole.get("source") is None:
        raise JailError("method clone needs one, the name of a jail", option="source")
    source = names.check(whole["source"])
    if source == name:
        raise JailError("a jail cannot be a clone of itself", option="source")
    label = whole.get("snapshot")
    try:
        values = {"method": METHOD, "source": source, "snapshot": None if label is None else parse_label(label)}
    except ValueError as error:
        raise JailError(str(error), option="snapshot") from error
    return {**values, "storage": whole.get("storage")}


def foresee(values: Values) -> dict[str, Any]:
    """The values of a clone that is to be made, with the kind of its storage where there is a source already.

    :raises JailError: when it cannot be made of this source as it is now.
    """
    return {**values, "storage": _kind(values, values["storage"])}


def _kind(values: Values, wanted: str | None) -> str | None:
    """The kind of storage that a clone will have; ``None`` while there is no source."""
    stored = _stored(values)
    if stored is None:
        return wanted
    if wanted not in (None, stored.kind):
        what = f"a clone has the storage of its source, which is {stored.kind}"
        raise JailError(what, option="storage", advice="leave it out")
    if values["snapshot"] is None:
        _expect_still(values["source"], stored)
    return stored.kind


def _stored(values: Values) -> Storage | None:
    source, label = values["source"], values["snapshot"]
    if label is None:
        return storage.describe(source)
    snapshot = snapshots.describe(source, label)
    return None if snapshot is None else snapshot.storage


def _expect_still(source: str, stored: Storage) -> None:
    if live.find(source) is not None and not stored.store.atomic:
        raise JailError(
            f"jail {source} runs, and a copy of its files would hold them half changed",
            option="source",
            advice=f"stop it first (jail_state name={source} state=stopped), or name a snapshot of it",
        )


def create(name: str, values: Values) -> None:
    """Make the clone. The caller has the locks of both jails."""
    source, label = values["source"], values["snapshot"]
    if label is not None:
        with snapshots.held(source, label) as snapshot:
            _create(name, snapshot.storage, snapshot.note["desired"])
        return
    if storage.describe(source) is None:
        raise JailError(f"jail {source} has no root file system", option="source")
    adopt.settle(source)
    with storage.held(source) as stored:
        _expect_still(source, stored)
        _create(name, stored, {facet: store.read(source, facet) for facet in ("rootfs", "limits", "state")})


def _create(name: str, stored: Storage, source: Mapping[str, Values]) -> None:
    desired = {
        "rootfs": {**_of_the_tree(source.get("rootfs", {})), **store.read(name, "rootfs"), "storage": stored.kind},
        "limits": {**source.get("limits", {}), **store.read(name, "limits")},
        "state": {**_without(source.get("state", {}), "hostname"), **store.read(name, "state")},
    }
    with storage.copied(name, stored) as copy:
        size.give(copy, desired["rootfs"])
        adopt.bring(copy.folder, Coming({facet: found for facet, found in desired.items() if found}, renewed=True))
    adopt.settle(name)


def _of_the_tree(values: Values) -> Values:
    """What is recorded of the tree, and holds of a copy as well: all but the machine id, which is renewed."""
    options = (*size.OPTIONS, *identity.OPTIONS)
    recorded = {option.name: values[option.name] for option in options if option.name in values}
    return _without(recorded, "machine_id")


def _without(values: Values, left_out: str) -> Values:
    return {option: value for option, value in values.items() if option != left_out}
