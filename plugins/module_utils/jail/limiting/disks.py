# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of disks: one word for each disk of the jails' storage, or each disk with words of its own.

What ``io_devices`` names has the limits that are said there and no others; the short options hold for all other disks
of the storage. So whatever order they are said in, each disk has one set of limits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ... import layout, sizes
from ...errors import JailError
from ...kernel import disks
from ...kernel.cgroup.figures import LATENCY, RATES
from ...kernel.cgroup.group import Group
from .. import counts
from ..options import Option
from . import latencies
from .row import Limit, Target, refuse

_OPERATIONS_MAX = (1 << 32) - 1
_SHORT = {
    "io_max": ("rbps", "wbps"),
    "io_operations_max": ("riops", "wiops"),
    "io_latency": (LATENCY,),
}
"""What each short option says of a disk."""


def _parse_operations(value: Any) -> int | None:
    return counts.parse(value, "operations", _OPERATIONS_MAX)


_EACH = (
    Option("rbps", parse=sizes.parse, show=sizes.show),
    Option("wbps", parse=sizes.parse, show=sizes.show),
    Option("riops", parse=_parse_operations, show=counts.show),
    Option("wiops", parse=_parse_operations, show=counts.show),
    Option(LATENCY, parse=latencies.parse, show=latencies.show),
)


def _parse_devices(value: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By device, as it was written; without what is unlimited."""
    found: dict[str, dict[str, Any]] = {}
    taken: dict[str, str] = {}
    for given in value:
        device = str(given["device"]).strip()
        for disk in _disks_of(device):
            if disk in taken:
                raise ValueError(f"{device} is the disk {disk}, and so is {taken[disk]}")
            taken[disk] = device
        limits = {each.name: each.parse(given[each.name]) for each in _EACH if given.get(each.name) is not None}
        found[device] = {"device": device, **{kind: limit for kind, limit in limits.items() if limit is not None}}
    return [found[device] for device in sorted(found)]


def _disks_of(device: str) -> list[str]:
    """The disks that a device, a mount point (or what lies below it) or numbers stand for.

    :raises ValueError: when there is none.
    """
    found = disks.named(device)
    if not found:
        raise ValueError(f"{device!r} is no block device, no path on one, and not the numbers of one, such as 8:0")
    return found


def _show_devices(value: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    shows = {each.name: each.show for each in _EACH}
    return [{key: shows[key](word) if key in shows else word for key, word in entry.items()} for entry in value]


def _storage() -> list[str]:
    """The disks of the directory of all storage, or of the nearest that is there."""
    return disks.below(next(path for path in (layout.STORAGE, layout.LIB, "/") if os.path.isdir(path)))


def _named(recorded: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The entries of ``io_devices`` by disk, without those of devices that are not there any more."""
    return {disk: entry for entry in recorded.get("io_devices") or () for disk in disks.named(entry["device"])}


def _left_to_short(recorded: Mapping[str, Any]) -> list[str]:
    named = _named(recorded)
    return [disk for disk in _storage() if disk not in named]


def _wanted(recorded: Mapping[str, Any], disk: str, entry: Mapping[str, Any] | None) -> dict[str, int | None]:
    """All limits of a disk, by its entry or by the short options, which say nothing of disks that are not of the
    storage."""
    if entry is not None:
        return {kind: entry.get(kind) for kind in (*RATES, LATENCY)}
    short = recorded if disk in _storage() else {}
    return {kind: short.get(option) for option, kinds in _SHORT.items() for kind in kinds}


def _converge(group: Group, disk: str, found: Mapping[str, int], wanted: Mapping[str, int | None]) -> None:
    differs = {kind: limit for kind, limit in wanted.items() if limit != found.get(kind)}
    if differs:
        group.limit_disk(disk, differs)


def _short(name: str, parse: Any, show: Any) -> Limit:
    kinds = _SHORT[name]

    def get(target: Target) -> Any:
        refuse(missing(target.group, None))
        left = _left_to_short(target.recorded)
        if not left and _storage():
            return target.recorded.get(name)  # each has an entry of its own, which counts
        found = target.group.disks() if left else {}
        limits = [found.get(disk, {}).get(kind) for disk in left for kind in kinds]
        return None if None in limits or not limits else max(limit for limit in limits if limit is not None)

    def put(target: Target, value: Any) -> None:
        if not _storage() and value is not None:
            what = f"{layout.STORAGE} is on no disk that the kernel could limit"
            raise JailError(what, option=name, advice=f"put {layout.LIB} on a disk's own file system")
        found = target.group.disks()
        for disk in _left_to_short(target.recorded):
            _converge(target.group, disk, found.get(disk, {}), dict.fromkeys(kinds, value))

    def missing(group: Group, _value: Any) -> str | None:
        return group.lacks(group.rates_controller) or (group.lacks_latency() if LATENCY in kinds else None)

    return Limit(name, parse, show, get, put, missing)


def _get_devices(target: Target) -> list[dict[str, Any]]:
    """In the words of what is recorded, and by numbers where nothing is."""
    recorded = target.recorded.get("io_devices") or ()
    refuse(_missing_devices(target.group, recorded))
    found = dict(target.group.disks())
    entries = []
    for entry in recorded:
        those = disks.named(entry["device"])
        limits = [found.pop(disk, {}) for disk in those]
        if those and all(each == limits[0] for each in limits):
            entries.append({"device": entry["device"], **limits[0]})
        else:
            entries.extend({"device": disk, **each} for disk, each in zip(those, limits))
    left = {disk: limits for disk, limits in found.items() if disk not in _storage()}
    entries.extend({"device": disk, **limits} for disk, limits in left.items())
    return sorted(entries, key=lambda entry: str(entry["device"]))


def _put_devices(target: Target, value: Sequence[Mapping[str, Any]]) -> None:
    for entry in value:
        try:
            _disks_of(entry["device"])
        except ValueError as error:
            raise JailError(str(error), option="io_devices", advice="name a disk that is there") from error
    found, named = target.group.disks(), _named({"io_devices": value})
    for disk in sorted({*found, *named, *_storage()}):
        wanted = _wanted(target.recorded, disk, named.get(disk))
        if disk not in named and target.group.lacks_latency():
            del wanted[LATENCY]  # a matter of io_latency
        _converge(target.group, disk, found.get(disk, {}), wanted)


def _missing_devices(group: Group, value: Sequence[Mapping[str, Any]]) -> str | None:
    with_latency = any(LATENCY in entry for entry in value)
    return group.lacks(group.rates_controller) or (group.lacks_latency() if with_latency else None)


LIMITS = (
    _short("io_max", sizes.parse, sizes.show),
    _short("io_operations_max", _parse_operations, counts.show),
    _short("io_latency", latencies.parse, latencies.show),
    Limit(
        "io_devices",
        _parse_devices,
        _show_devices,
        _get_devices,
        _put_devices,
        _missing_devices,
        untouched=[],
        default=[],
        type="list",
        elements="dict",
        suboptions=(Option("device", required=True), *_EACH),
    ),
)
