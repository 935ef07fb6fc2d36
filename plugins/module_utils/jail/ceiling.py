# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all jails of a host may take together, so that the host keeps something whatever they agree upon.

All of them live below one control group, which has limits of its own. They are figured out from the host's size, or are
what its administrator says in :data:`layout.CEILING`, and hold before a jail starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from .. import files, layout, sizes
from ..errors import JailError
from ..kernel.cgroup.group import Group
from . import counts, live

_RESERVED_BYTES = 256 << 20
_RESERVED_TASKS = 1024
_TASKS = ("/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max")

_PARSERS: Mapping[str, Callable[[Any], int | None]] = {"memory_max": sizes.parse_memory, "pids_max": counts.parse}
_SHOWN: Mapping[str, Callable[[int | None], str]] = {"memory_max": sizes.show, "pids_max": counts.show}


def memory_of(total: int) -> int:
    """The bytes that all jails may have of so many: the host keeps a twentieth and 256 MiB at least, but no more than a
    quarter."""
    return sizes.whole_pages(total - min(max(total // 20, _RESERVED_BYTES), total // 4))


def tasks_of(total: int) -> int:
    """The tasks that all jails may have of so many: the host keeps a tenth and 1024 at least, but no more than a
    quarter."""
    return total - min(max(total // 10, _RESERVED_TASKS), total // 4)


def default_memory() -> int:
    """``memory_max`` of all jails where nobody said anything."""
    return memory_of(sizes.memory())


def hold() -> None:
    """Make it hold, where the group of all jails is there; and for the figures that this host can count.

    :raises JailError: when the administrator's file has something else in it.
    """
    group = _group()
    for figure, most in wanted().items():
        if group.counts(figure) and group.get(figure) != most:
            group.set(figure, most)


def holding() -> dict[str, int | None]:
    """The limits that hold, by the kernel's word; empty while there is no jail."""
    group = _group()
    return {figure: group.get(figure) for figure in _PARSERS if group.exists() and group.counts(figure)}


def describe() -> dict[str, dict[str, Any]]:
    """For a result, by figure: ``max`` in the user's words and ``used``, as the kernel has them; ``max`` is what will
    hold, and ``used`` is ``None``, while there is no jail."""
    holds = holding()
    return {
        figure: {
            "max": show(figure, holds.get(figure, most)),
            "used": _group().get(figure.replace("_max", "_used")) if figure in holds else None,
        }
        for figure, most in wanted().items()
    }


def show(figure: str, value: int | None) -> str:
    """A limit in the user's words."""
    return _SHOWN[figure](value)


def _group() -> Group:
    return live.hierarchies().group("", layout.CGROUP_PARENT)


def wanted() -> dict[str, int | None]:
    """The limits that are to hold, by figure.

    :raises JailError: when the administrator's file has something else in it.
    """
    found: dict[str, int | None] = {"memory_max": default_memory(), "pids_max": tasks_of(min(map(_number, _TASKS)))}
    said = files.read_json(layout.CEILING)
    if said is None:
        return found
    if not isinstance(said, dict) or not set(said) <= set(_PARSERS):
        raise JailError(f"{layout.CEILING} must be one JSON object with some of: {', '.join(_PARSERS)}")
    for figure, value in said.items():
        try:
            found[figure] = _PARSERS[figure](value)
        except ValueError as error:
            raise JailError(f"{layout.CEILING}: {error}", option=figure) from error
    return found


def _number(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return int(file.read())
