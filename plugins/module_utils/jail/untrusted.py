# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired state from a file that nobody vouches for.

Its options pass the same tables and parsers as those that a user gives. Ansible checks types before that; here it is
done by :func:`_typed`. What the parsers let pass is well formed and no more: whether it is to hold is another question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import JailError
from .desired import FACETS
from .facet import Facet
from .options import Option

_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "path": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
    "raw": (str, int, float, list, dict),
}


def parse(name: str, said: Any) -> dict[str, dict[str, Any]]:
    """Canonical values by facet, for a jail that is to have this name.

    :param said: what JSON made of it: the user's words by option, by facet.
    :raises JailError: for anything that no user could have given.
    """
    facets = _mapping(said, "desired state", FACETS)
    found = {}
    for facet, values in facets.items():
        known = {option.name: option for option in FACETS[facet].options}
        given = _mapping(values, facet, known)
        for option, value in given.items():
            _typed(known[option], value, option)
        found[facet] = _parsed(FACETS[facet], name, given)
    return found


def _parsed(facet: Facet, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A root file system is there already, so it is as good as recorded what it was made of."""
    return facet.parse({**given, "name": name}, given)


def _mapping(value: Any, what: str, known: Mapping[str, object]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise JailError(f"the export's {what} is no object")
    strangers = sorted(set(value) - set(known))
    if strangers:
        raise JailError(f"the export's {what} has {strangers[0]!r}, which means nothing here")
    return value


def _typed(option: Option, value: Any, where: str) -> None:
    """Refuse a value of which Ansible's argument specification would not let pass the type."""
    _of_type(option.type, value, where)
    if option.choices and value not in option.choices:
        raise JailError(f"{value!r} is none of {', '.join(option.choices)}", option=where)
    if isinstance(value, list):
        _elements(option, value, where)


def _elements(option: Option, values: Sequence[Any], where: str) -> None:
    known = {each.name: each for each in option.suboptions}
    for value in values:
        _of_type(option.elements or "str", value, where)
        if known:
            for name, inner in _mapping(value, where, known).items():
                if inner is not None:
                    _typed(known[name], inner, f"{where}.{name}")


def _of_type(kind: str, value: Any, where: str) -> None:
    fits = isinstance(value, _TYPES[kind]) and (kind == "bool" or not isinstance(value, bool))
    if not fits:
        raise JailError(f"the export has {str(value)[:60]!r} there, which is no {kind}", option=where)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise JailError("the export has text there that is none", option=where) from error
