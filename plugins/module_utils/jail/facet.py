# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module manages of a jail: its table of options, its part of the desired state, and how to read and change
it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

from ..errors import JailError
from . import store
from .live import Running
from .options import Option
from .plan import Action, Plan, Request, Situation

Values = Mapping[str, Any]
"""Canonical values by option."""


def alone(_request: Request) -> Sequence[str]:
    """For modules whose work on a jail concerns that jail only."""
    return ()


class Facet(NamedTuple):
    """One of :data:`store.FACETS`.

    :param states: the values of the module's ``state`` option; empty when it has none.
    :param parse: from the options as given and as recorded so far to canonical values; raises :class:`JailError`.
    :param plan: the pure planner.
    :param exists: whether what the module makes is there for this jail.
    :param conflicts: what is wrong between jails: from all desired values by jail to a sentence for each jail
        concerned.
    :param settle: looks, when all is done, at the jails that were started; a sentence for each that has failed.
    :param perform: what this module does, by an action's ``how``, besides recording and changing options live; and
        what is to be told of it besides the actions, if anything.
    :param companions: other jails that nobody may work on meanwhile.
    :param one_at_a_time: whether calls of the module wait for each other, so that none gives to a jail what another is
        about to give to another jail.
    """

    name: str
    options: tuple[Option, ...]
    states: tuple[str, ...]
    parse: Callable[[Values, Values], dict[str, Any]]
    plan: Callable[[Sequence[Option], Request, Situation], Plan]
    exists: Callable[[str], bool]
    conflicts: Callable[[Mapping[str, Values]], Mapping[str, str]]
    perform: Mapping[str, Callable[[Request, Sequence[Action]], Mapping[str, Any] | None]]
    settle: Callable[[Sequence[str]], Mapping[str, str]]
    companions: Callable[[Request], Sequence[str]] = alone
    one_at_a_time: bool = False

    def option(self, name: str) -> Option:
        """The row of an option."""
        return next(option for option in self.options if option.name == name)


def parse_each(options: Sequence[Option]) -> Callable[[Values, Values], dict[str, Any]]:
    """A parser for options that have nothing to do with each other."""

    def parse(given: Values, _recorded: Values) -> dict[str, Any]:
        values = {}
        for option in options:
            value = given.get(option.name)
            if value is not None:
                try:
                    values[option.name] = option.parse(value)
                except ValueError as error:
                    raise JailError(str(error), option=option.name) from error
        return values

    return parse


def always(_name: str) -> bool:
    """What needs no making is there."""
    return True


def no_conflicts(_desired: Mapping[str, Values]) -> Mapping[str, str]:
    """For options that jails cannot fight over."""
    return {}


def all_well(_names: Sequence[str]) -> Mapping[str, str]:
    """For modules that start nothing."""
    return {}


def read_live(facet: Facet, running: Running, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Canonical values from the kernel, of the named options or of all that can be read."""
    return {option.name: option.read(running) for option in _chosen(facet, names) if option.read is not None}


def read_stored(facet: Facet, name: str, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Canonical values from the storage of a jail that has some, likewise."""
    chosen = _chosen(facet, names)
    return {option.name: option.read_stored(name) for option in chosen if option.read_stored is not None}


def waiting(facet: Facet, request: Request, situation: Situation) -> list[str]:
    """The options whose wanted value has to wait for the jail's next start.

    :raises JailError: for a value that can never hold.
    """
    found = []
    for option in facet.options if situation.exists and request.state != "absent" else ():
        if option.waits is not None and option.name in request.values:
            value = request.values[option.name]
            differs = situation.live.get(option.name) != value
            if differs and option.waits(request.name, value, situation.running):
                found.append(option.name)
    return found


def _chosen(facet: Facet, names: Sequence[str] | None) -> list[Option]:
    return [option for option in facet.options if names is None or option.name in names]


def apply_live(facet: Facet, running: Running, actions: Sequence[Action]) -> dict[str, Any]:
    """Make the actions hold in the running jail; gives what there is to tell of it besides."""
    told: dict[str, Any] = {}
    for action in actions:
        write = facet.option(action.option).write
        if write is None:
            raise ValueError(f"{action.option} cannot be changed in a running jail")  # the planner's mistake
        told.update(write(running, action.after) or {})
    return told


def apply_stored(facet: Facet, name: str, actions: Sequence[Action]) -> None:
    """Make the actions hold in the jail's storage."""
    for action in actions:
        write = facet.option(action.option).write_stored
        if write is None:
            raise ValueError(f"{action.option} does not hold on disk")  # the planner's mistake
        write(name, action.after)


def record(facet: Facet, name: str, values: Values) -> None:
    """Add values to the desired state; to nothing where what they are of is not there, whatever a killed run left."""
    before = store.read(name, facet.name) if facet.exists(name) else {}
    lasting = {option: value for option, value in values.items() if option not in passing(facet)}
    if {**before, **lasting} != before:
        store.write(name, facet.name, {**before, **lasting})


def passing(facet: Facet) -> set[str]:
    """The options that say how to make a thing, and are not remembered."""
    return {option.name for option in facet.options if option.once}
