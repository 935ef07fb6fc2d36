# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an option is. Each is declared once, as a row of its facet's table (:mod:`limits`, :mod:`network`,
:mod:`rootfs`, :mod:`state`); the modules' argument specification, comparison, diff and live update come from that
row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from .live import Running


def as_it_is(value: Any) -> Any:
    """The canonical form of a value that needs none."""
    return value


class Option(NamedTuple):
    """One option of a module.

    :param type: the type in Ansible's argument specification; ``elements``, ``choices`` and ``suboptions`` likewise.
    :param default: what holds where nothing was ever said, in canonical form.
    :param parse: from what the user wrote to the canonical form (JSON-able, comparable by ``==``); ``ValueError``
        says what is wrong, in words to act on.
    :param show: from the canonical form to the user's words.
    :param read: the canonical value in the kernel of a running jail; ``None`` when only a start decides it.
    :param write: makes a canonical value hold in a running jail, and gives what there is to tell of it besides, if
        anything; ``None`` when only a restart can.
    :param read_stored: the canonical value that holds on disk for the jail of this name, whether it runs or not.
    :param write_stored: makes a canonical value hold there.
    :param waits: from the jail's name, a canonical value that does not hold, and whether the jail runs: whether
        ``write`` or ``write_stored`` has to wait for its next start; raises :class:`JailError` for one that can never
        hold.
    :param fixed: decided when the thing is made; another value is refused afterwards.
    :param public: no secret, though its name looks like one.
    :param once: says how to make the thing, and is not remembered.
    """

    name: str
    type: str = "str"
    elements: str | None = None
    choices: tuple[str, ...] | None = None
    suboptions: tuple[Option, ...] = ()
    required: bool = False
    default: Any = None
    parse: Callable[[Any], Any] = as_it_is
    show: Callable[[Any], Any] = as_it_is
    read: Callable[[Running], Any] | None = None
    write: Callable[[Running, Any], Mapping[str, Any] | None] | None = None
    read_stored: Callable[[str], Any] | None = None
    write_stored: Callable[[str, Any], None] | None = None
    waits: Callable[[str, Any, bool], bool] | None = None
    fixed: bool = False
    once: bool = False
    public: bool = False

    def specification(self) -> dict[str, Any]:
        """The option in Ansible's argument specification. It has no default there: left out means left as it is."""
        found: dict[str, Any] = {"type": self.type}
        if self.required:
            found["required"] = True
        if self.public:
            found["no_log"] = False
        if self.elements:
            found["elements"] = self.elements
        if self.choices:
            found["choices"] = list(self.choices)
        if self.suboptions:
            found["options"] = {option.name: option.specification() for option in self.suboptions}
        return found
