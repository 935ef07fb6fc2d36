# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel parameters of the host that are switched for as long as jails need it, and put back.

The values from before are recorded in the host state, with the boot that they belong to: a later boot has its own. The
caller holds the lock ``host``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .. import files, layout
from . import sysctl

FIRST_PURPOSE = "masquerade"
"""What earlier versions of ours recorded was for this."""


def _state() -> dict[str, Any]:
    return files.read_json(layout.HOST_STATE) or {}


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


class Switches:
    """Those that are recorded under one key, for one purpose or several."""

    def __init__(self, key: str) -> None:
        self._key = key

    def is_noted(self) -> bool:
        """Whether there is something to put back or to forget."""
        return self._key in _state()

    def is_asked(self, purpose: str) -> bool:
        """Whether they have been asked for since this boot, for this purpose, and not been put back."""
        record = self._of(_state())
        return record is not None and purpose in record["for"]

    def _of(self, state: Mapping[str, Any]) -> dict[str, Any] | None:
        record = state.get(self._key)
        if not record or record["boot"] != _boot():
            return None
        return {"for": [FIRST_PURPOSE], **record}

    def put(self, wanted: Mapping[str, str], purpose: str) -> None:
        """Set parameters, and note that somebody asked, also where there is nothing to set.

        :raises OSError: when the kernel has no such parameter, or it cannot be written.
        """
        state = _state()
        record = self._of(state) or {"boot": _boot(), "before": {}, "for": []}
        # Recorded before it is done: killed in between, we put back what is there.
        found = {name: value for name in wanted if (value := sysctl.read(name)) is not None}
        new = {**record, "before": {**found, **record["before"]}, "for": sorted({*record["for"], purpose})}
        if new != state.get(self._key):
            files.write_json(layout.HOST_STATE, {**state, self._key: new})
        for name, value in wanted.items():
            sysctl.write(name, value)

    def restore(self, purpose: str, besides: Collection[str] = (), *, asked: bool = False) -> None:
        """Put back what :meth:`put` found, where no other purpose needs it: all but the parameters in ``besides``.
        Without those forget that somebody asked, unless somebody still does."""
        state = _state()
        record = self._of(state) or {"before": {}, "for": []}
        new: dict[str, Any] | None
        others = [each for each in record["for"] if each != purpose]
        if others:
            new = {**record, "for": others}
        else:
            for name, value in record["before"].items():
                if name not in besides:
                    sysctl.write_where_present(name, value)
            left = {name: value for name, value in record["before"].items() if name in besides}
            new = {**record, "before": left} if besides or asked else None
        if new != state.get(self._key):
            kept = {key: value for key, value in state.items() if key != self._key}
            files.write_json(layout.HOST_STATE, {**kept, **({self._key: new} if new else {})})
