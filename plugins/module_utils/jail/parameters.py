# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel parameters of a running jail that an option sets, and takes back to what they were before.

Names are paths below ``/proc/sys``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, Callable, NamedTuple

from .. import files, layout
from ..errors import JailError
from .live import Running


class Parameters(NamedTuple):
    """The parameters of an option.

    :param option: its name, and that of the file that remembers.
    :param show: from a path to the name that the user knows.
    :param get: the values of some of a jail's; ``None`` of one that there is not.
    :param put: sets some.
    """

    option: str
    show: Callable[[str], str]
    get: Callable[[Running, Collection[str]], Mapping[str, str | None]]
    put: Callable[[Running, Mapping[str, str]], None]

    def set_first(self, running: Running, wanted: Mapping[str, str]) -> None:
        """Set the parameters of a jail that is being started.

        :raises JailError: for one that is not there, or a value that the kernel does not take.
        """
        self._change(running, {}, wanted)

    def read(self, running: Running) -> dict[str, str]:
        """The values of those that were ever set in this jail and have not been taken back."""
        before = self._before(running.name)
        values = self.get(running, before) if before else {}
        return {path: " ".join(value.split()) for path, value in values.items() if value is not None}

    def write(self, running: Running, wanted: Mapping[str, str]) -> None:
        """Set the parameters, and those that are not wanted any more to what they were before.

        :raises JailError: as :meth:`set_first`.
        """
        self._change(running, self._before(running.name), wanted)

    def _change(self, running: Running, before: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        found = self.get(running, wanted) if wanted else {}
        for path, value in found.items():
            if value is None:
                raise JailError(f"{self.show(path)}: there is no such parameter in the jail", option=self.option)
        # Remembered before it is changed: who is killed in between has lost nothing.
        self._remember(running.name, {**found, **before})
        if before or wanted:
            self.put(running, {**before, **wanted})
        self._remember(running.name, {path: before.get(path, value) for path, value in found.items()})

    def _file(self, name: str) -> str:
        return os.path.join(layout.running(name), f"{self.option}.json")

    def _before(self, name: str) -> dict[str, Any]:
        """By parameter that we have set: its value before."""
        return files.read_json(self._file(name)) or {}

    def _remember(self, name: str, before: Mapping[str, Any]) -> None:
        files.write_json(self._file(name), dict(before))
