# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any file of a control group of version 2, for what has no option: its text, as the kernel shows it.

What a file said before the first write is kept while the jail runs, so that it can be taken back.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from typing import Any

from ... import files, layout
from ...errors import JailError
from ...kernel.cgroup.figures import V2
from ...kernel.cgroup.group import Group
from ...kernel.cgroup.v2 import GroupV2
from ..options import as_it_is
from .row import Limit, Target

NAME = "unified"
_FILE = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+")
_NOT_V2 = (
    "it names files of control groups of version 2, and the controllers of this host are on version 1; use the options "
    "that have names of their own"
)
_OF_OPTIONS = {
    **{file: option for option, row in V2.items() for file in (row.name, row.besides) if file is not None},
    "io.max": "io_devices",
    "io.latency": "io_latency",
    "cpuset.cpus": "cpuset_cpus",
    "cpuset.mems": "cpuset_mems",
    "cpu.max": "cpus",
    "cpu.weight.nice": "cpu_weight",
    "cpu.max.burst": "cpu_burst",
}


def _parse(value: Mapping[Any, Any]) -> dict[str, str]:
    found = {}
    for file, text in value.items():
        if not isinstance(file, str) or not _FILE.fullmatch(file) or file.startswith("cgroup."):
            raise ValueError(
                f"{file!r} is not a file of a controller, such as memory.zswap.max; those that begin with 'cgroup.' "
                "are about processes and groups, and not to be set"
            )
        if file in _OF_OPTIONS or re.fullmatch(r"hugetlb\..*\.max", file):
            raise ValueError(f"{file} has an option of its own: {_OF_OPTIONS.get(file, 'hugepages')}")
        words = _lines(str(text))
        if isinstance(text, bool) or not words or not "".join(words).isprintable():
            raise ValueError(f"{text!r} is nothing that could be written into {file}")
        found[file] = "\n".join(words)
    return found


def _lines(text: str) -> list[str]:
    """Lines with one space between words."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _holds(wanted: str, shown: str) -> bool:
    """Whether the kernel shows each line; of files with many lines it shows those of others too."""
    return set(_lines(wanted)) <= set(_lines(shown))


def _group(group: Group) -> GroupV2:
    if not isinstance(group, GroupV2):
        raise OSError(errno.EOPNOTSUPP, _NOT_V2)
    return group


def _get(target: Target) -> dict[str, str]:
    recorded = target.recorded.get(NAME) or {}
    group = _group(target.group)
    shown = {file: group.text(file) for file in {**recorded, **_before(group.name)}}
    return {file: _in_recorded_words(recorded.get(file), text) for file, text in shown.items()}


def _in_recorded_words(recorded: str | None, shown: str) -> str:
    return recorded if recorded is not None and _holds(recorded, shown) else shown


def _put(target: Target, value: Mapping[str, str]) -> None:
    if not value and not isinstance(target.group, GroupV2):
        return
    group = _group(target.group)
    before = _before(group.name)
    for file in [file for file in before if file not in value]:
        _take_back(group, file, before.pop(file))
    before = {**{file: group.text(file) for file in value}, **before}
    files.write_json(_path(group.name), before)
    for file, text in value.items():
        if not _holds(text, group.text(file)):
            _write(group, file, text)


def _write(group: GroupV2, file: str, text: str) -> None:
    for line in _lines(text):
        group.set_text(file, line)
    shown = group.text(file)
    if not _holds(text, shown):
        raise JailError(
            f"{file}: {text!r} was written, and the kernel shows {shown!r}",
            option=NAME,
            advice="write it as the kernel shows it, or a value that it takes",
        )


def _take_back(group: GroupV2, file: str, text: str) -> None:
    for line in _lines(text):
        group.set_text(file, line)
    if _lines(group.text(file)) != _lines(text):
        raise JailError(
            f"{file} said {text!r} before, and cannot be made to say so again",
            option=NAME,
            advice="restart the jail, or write what takes it away, by name of the device",
        )


def _before(name: str) -> dict[str, str]:
    found: dict[str, str] = files.read_json(_path(name)) or {}
    return found


def _path(name: str) -> str:
    return os.path.join(layout.running(name), "unified.json")


def _missing(group: Group, value: Mapping[str, str]) -> str | None:
    return _NOT_V2 if value and not isinstance(group, GroupV2) else None


UNIFIED = Limit(NAME, _parse, as_it_is, _get, _put, _missing, untouched={}, default={}, type="dict")
