# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of jails: desired state, and the kernel's word for everything that runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import JailError
from ..kernel.cgroup import freezer
from ..net import counters
from ..rootfs import generations, records, snapshots, storage, templates
from . import console, desired, ids, live, place, policy, rootfs, store, usage
from .facet import Facet, read_live, read_stored
from .isolation import attest
from .live import Running

USUAL_PARTS = ("limits", "net", "rootfs", "snapshots", "state", "usage", "traffic", "disk")
PARTS = (*USUAL_PARTS, "size", "isolation")
"""What can be gathered of a jail; ``size`` may have to visit all of the jail's files, and ``isolation`` looks into
every corner of its processes."""

CEILING = "ceiling"
"""What can be gathered of the host besides: :func:`ceiling.describe`."""
TEMPLATES = "templates"
"""What can be gathered of the host besides: :func:`gather_templates`."""


def names() -> list[str]:
    """Every jail of this host, whatever is left of it."""
    found = {*store.names(), *storage.names(), *snapshots.names(), *live.names()}
    return sorted(name for name in found if not name.startswith("."))


def gather(name: str, parts: Sequence[str]) -> dict[str, Any]:
    """One jail: ``state``, ``pid``, and the chosen parts. Values are in the user's words; live ones where it runs."""
    running = live.find(name)
    found: dict[str, Any] = {
        "status": _status(running),
        "pid": running.pid if running else None,
        "uptime": round(time.time() - running.started_at, 1) if running else None,
        "first_id": running.first_id if running else _first_id(name),
        "log": console.file_of(name),
    }
    for part in parts:
        if part == "rootfs":
            found[part] = _rootfs(name, running)
        elif part in desired.FACETS:
            found[part] = _options(desired.FACETS[part], name, running)
        elif part == "snapshots":
            found[part] = [_snapshot(each) for each in snapshots.of(name)]
        elif part == "usage":
            found[part] = _usage(running) if running else None
        elif part == "traffic":
            found[part] = _traffic(running) if running else None
        elif part == "disk":
            found[part] = _disk(name)
        elif part == "size":
            found[part] = storage.bytes_used(name)
        elif part == "isolation":
            found[part] = _isolation(running) if running else None
    return found


def _status(running: Running | None) -> str:
    if running is None:
        return "stopped"
    return "frozen" if freezer.is_frozen(running.group) else "started"


def gather_templates() -> dict[str, dict[str, Any]]:
    """The templates of this host, by key. ``age`` is in seconds, ``size`` in bytes on disk as it was built; ``jails``
    are those that came from it."""
    found = {key: described for key in templates.names() if (described := templates.describe(key)) is not None}
    return {key: _template(key, described) for key, described in found.items()}


def _template(key: str, described: Mapping[str, Any]) -> dict[str, Any]:
    recipe = described["recipe"]
    return {
        "method": recipe["method"],
        "release": recipe.get("suite") or recipe.get("release"),
        "trust_group": recipe["trust_group"],
        "recipe": recipe,
        "generation": generations.number(key),
        "built": described["built"],
        "age": round(time.time() - templates.built_at(described)),
        "size": described["bytes"],
        "jails": records.users(key),
    }


def _isolation(running: Running) -> dict[str, Any] | None:
    try:
        return attest.as_dict(attest.facts(running))
    except JailError:
        return None  # it has ended meanwhile


def _traffic(running: Running) -> counters.Counters | None:
    """By interface, as the jail sees it. The host's are none of it."""
    try:
        if place.is_shared_by(running):
            return {}
        return counters.read(running.open_part(counters.FILE))
    except JailError:
        return None  # it has ended meanwhile


def _first_id(name: str) -> int | None:
    """The host id of user 0 of a jail that does not run, where that is settled."""
    slot = ids.find(name)
    return None if slot is None else ids.first_for(store.read(name, "state").get("userns", policy.USERNS), slot)


def _options(facet: Facet, name: str, running: Running | None) -> dict[str, Any]:
    recorded = store.read(name, facet.name)
    values = {option.name: recorded.get(option.name, option.default) for option in facet.options}
    if running:
        values.update(read_live(facet, running))
    return {option.name: option.show(values[option.name]) for option in facet.options}


def _rootfs(name: str, running: Running | None) -> dict[str, Any] | None:
    """The options that were said of it, with the template that came of them; as they hold."""
    stored = storage.describe(name)
    if stored is None:
        return None
    values = {**store.read(name, "rootfs"), **read_stored(rootfs.FACET, name)}
    said = {option.name: values[option.name] for option in rootfs.OPTIONS if values.get(option.name)}
    if running:
        said.update(read_live(rootfs.FACET, running, list(said)))
    shown = {option.name: option.show(said[option.name]) for option in rootfs.OPTIONS if option.name in said}
    return {**shown, "storage": stored.kind, "template": stored.template}


def _snapshot(snapshot: snapshots.Snapshot) -> dict[str, Any]:
    stored = snapshot.storage
    kind_and_template = {"storage": stored.kind, "template": stored.template}
    return {"snapshot": snapshot.label, "created": snapshot.created, **kind_and_template}


def _disk(name: str) -> dict[str, int | None] | None:
    """What is counted of its own files, and the limits; ``None`` for what is not counted or not limited."""
    if storage.describe(name) is None:
        return None
    used, limit = storage.used(name), storage.bounds_of(name)
    return {"bytes": used.size, "bytes_max": limit.size, "inodes": used.inodes, "inodes_max": limit.inodes}


def _usage(running: Running) -> dict[str, Any] | None:
    try:
        return {**usage.of(running), "processes": len(running.group.processes())}
    except JailError:
        return None  # it has ended meanwhile
