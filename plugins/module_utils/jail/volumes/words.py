# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts of a jail beside its root, in the words of the option ``mounts``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ... import sizes
from ...kernel import mounts
from ..options import Option

BIND, TMPFS, OVERLAY = "bind", "tmpfs", "overlay"
_MOST = 32
_LAYERS_MOST = 32
_TMPFS_BYTES = 64 << 20
_MODE = re.compile(r"0?[0-7]{3,4}")
_OURS = ("/dev", "/proc", "/sys")
"""What a start mounts there is not to be covered, nor its masks."""

_FLAGS = {"read_only": "ro", "nosuid": "nosuid", "nodev": "nodev", "noexec": "noexec"}  # in a mount table
_ATTRIBUTES = {"read_only": mounts.RDONLY, "nosuid": mounts.NOSUID, "nodev": mounts.NODEV, "noexec": mounts.NOEXEC}

Volume = Mapping[str, Any]
"""One mount in canonical form: every key of :data:`SUBOPTIONS`."""

SUBOPTIONS = (
    Option("target", required=True),
    Option("type", choices=(BIND, TMPFS, OVERLAY)),
    Option("source"),
    Option("lower", type="list", elements="str"),
    Option("upper"),
    Option("read_only", type="bool"),
    Option("nosuid", type="bool"),
    Option("nodev", type="bool"),
    Option("noexec", type="bool"),
    Option("idmapped", type="bool"),
    Option("size"),
    Option("mode"),
)

_MEANT_FOR = {
    "source": (BIND,),
    "lower": (OVERLAY,),
    "upper": (OVERLAY,),
    "idmapped": (BIND, OVERLAY),
    "size": (TMPFS,),
    "mode": (TMPFS,),
}


def parse(value: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The canonical form, in an order in which each can be mounted after those above it."""
    found = sorted((_one(each) for each in value), key=lambda volume: volume["target"])
    if len(found) > _MOST:
        raise ValueError(f"there are {len(found)} mounts, and at most {_MOST} can be had")
    targets = [volume["target"] for volume in found]
    for target in targets:
        if targets.count(target) > 1:
            raise ValueError(f"{target} is mounted twice")
    return found


def show(value: Any) -> Any:
    """What says something of each mount."""
    if isinstance(value, str):
        return value
    return [_shown(volume) for volume in value]


def _shown(volume: Volume) -> dict[str, Any]:
    said = {key: item for key, item in volume.items() if item not in (None, [])}
    return {**said, "size": sizes.show(volume["size"])} if "size" in said else said


def sources(volume: Volume) -> list[str]:
    """The host's files and directories that a mount is made of: an upper layer first."""
    if volume["type"] == BIND:
        return [volume["source"]]
    return [*([volume["upper"]] if volume["upper"] else []), *volume["lower"]]


def attributes(volume: Volume) -> int:
    """The kernel's mount attributes of a volume."""
    return sum(bit for name, bit in _ATTRIBUTES.items() if volume[name])


def flags(volume: Volume) -> frozenset[str]:
    """The same as a mount table has them."""
    return frozenset(word for key, word in _FLAGS.items() if volume[key])


def _one(said: Mapping[str, Any]) -> dict[str, Any]:
    target = _target(said["target"])
    given = {key: value for key, value in said.items() if value is not None}
    kind = given.get("type", BIND)
    for key in given:
        if kind not in _MEANT_FOR.get(key, (kind,)):
            raise ValueError(f"{target}: {key} means nothing to type {kind}")
    writes = kind == TMPFS or (kind == OVERLAY and bool(given.get("upper")))
    volume = {
        "target": target,
        "type": kind,
        "source": _source(target, "source", given["source"]) if "source" in given else None,
        "lower": [_source(target, "lower", path) for path in given.get("lower", ())],
        "upper": _source(target, "upper", given["upper"]) if "upper" in given else None,
        "read_only": bool(given.get("read_only", not writes)),
        "nosuid": bool(given.get("nosuid", True)),
        "nodev": bool(given.get("nodev", True)),
        "noexec": bool(given.get("noexec", False)),
        "idmapped": bool(given.get("idmapped", kind != TMPFS)),
        "size": sizes.parse(given.get("size", _TMPFS_BYTES)) if kind == TMPFS else None,
        "mode": _mode(target, str(given.get("mode", "0755"))) if kind == TMPFS else None,
    }
    _check_whole(volume)
    return volume


def _check_whole(volume: Volume) -> None:
    target, layers = volume["target"], len(volume["lower"])
    if volume["type"] == BIND and volume["source"] is None:
        raise ValueError(f"{target}: a bind mount needs a source")
    if volume["type"] == OVERLAY and not layers:
        raise ValueError(f"{target}: an overlay needs lower")
    if volume["type"] == OVERLAY and volume["upper"] is None and layers < 2:
        raise ValueError(f"{target}: an overlay of one lower layer and no upper one is a bind mount")
    if layers > _LAYERS_MOST:
        raise ValueError(f"{target}: at most {_LAYERS_MOST} lower layers can be had")
    if volume["type"] == OVERLAY and volume["upper"] is None and not volume["read_only"]:
        raise ValueError(f"{target}: an overlay without upper can only be read")
    if volume["type"] == TMPFS and volume["size"] is None:
        raise ValueError(f"{target}: a tmpfs needs a size")


def _target(value: str) -> str:
    if not value.startswith("/") or "\0" in value or value != os.path.normpath(value) or value == "/":
        raise ValueError(f"{value!r} is not an absolute path inside the jail, in its shortest form, below its root")
    if any(value == path or value.startswith(f"{path}/") for path in _OURS):
        raise ValueError(f"{value} lies in {', '.join(_OURS)}, which are the jail's own")
    return value


def _source(target: str, key: str, value: str) -> str:
    if not value.startswith("/") or "\0" in value or value != os.path.normpath(value):
        raise ValueError(f"{target}: {key} {value!r} is not an absolute path of the host in its shortest form")
    return value


def _mode(target: str, value: str) -> str:
    if not _MODE.fullmatch(value):
        raise ValueError(f"{target}: mode {value!r} is not one; write it as in 0755")
    return value.rjust(4, "0")
