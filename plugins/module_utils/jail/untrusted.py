# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired state from a file that nobody vouches for.

Its options pass the same tables and parsers as those that a user gives. Ansible checks types before that; here
:func:`words` does. What passes is well formed and no more: whether it is to hold is another question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import JailError
from .desired import FACETS, Desired
from .facet import Facet, passing
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


def words(said: Any) -> dict[str, dict[str, Any]]:
    """The user's words by option, by facet, each of a type that it can have; and nothing that is not an option.

    :param said: what JSON made of it.
    :raises JailError: for anything that no user could have given.
    """
    found = _mapping(said, "desired state", FACETS)
    for name, values in found.items():
        known = {option.name: option for option in FACETS[name].options if not option.once}
        for option, value in _mapping(values, name, known).items():
            _typed(known[option], value, option)
    return found


def parsed(name: str, said: Desired) -> dict[str, dict[str, Any]]:
    """Canonical values of such words, for a jail that is to have this name.

    :raises JailError: for a value that no user could have given.
    """
    return {facet: _parsed(FACETS[facet], name, values) for facet, values in said.items()}


def _parsed(facet: Facet, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    # What a root file system is made of is not to be found any more: it is as good as recorded.
    values = facet.parse({**given, "name": name}, given)
    return {option: value for option, value in values.items() if option not in passing(facet)}


def _mapping(value: Any, what: str, known: Mapping[str, object]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise JailError(f"the export's {what} is no object")
    strangers = sorted(set(value) - set(known))
    if strangers:
        raise JailError(f"the export's {what} has {strangers[0]!r}, which means nothing here")
    return value


def _typed(option: Option, value: Any, where: str) -> None:
    """Refuse a value that Ansible's argument specification would not let pass."""
    _of_type(option.type, value, where)
    if option.choices and value not in option.choices and not isinstance(value, list):
        raise JailError(f"{str(value)[:60]!r} is none of {', '.join(option.choices)}", option=where)
    if isinstance(value, dict):
        _suboptions(option, value, where)
    elif isinstance(value, list):
        for each in value:
            _of_type(option.elements or "str", each, where)
            if option.choices and each not in option.choices:
                raise JailError(f"{str(each)[:60]!r} is none of {', '.join(option.choices)}", option=where)
            if isinstance(each, dict):
                _suboptions(option, each, where)


def _suboptions(option: Option, value: Mapping[str, Any], where: str) -> None:
    known = {each.name: each for each in option.suboptions}
    if option.suboptions:
        for name, inner in _mapping(value, where, known).items():
            if inner is not None:
                _typed(known[name], inner, f"{where}.{name}")


def _of_type(kind: str, value: Any, where: str) -> None:
    fits = isinstance(value, _TYPES[kind]) and (kind in ("bool", "raw") or not isinstance(value, bool))
    if not fits:
        raise JailError(f"the export has {str(value)[:60]!r} there, which is no {kind}", option=where)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise JailError("the export has text there that is none", option=where) from error
