# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_rootfs``: from which template a jail is cloned, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import JailError
from ..rootfs import recipes, storage, templates
from . import build, size, store
from .facet import Facet, Values, all_well, no_conflicts, parse_each
from .options import Option
from .plan import CREATE, REMOVE, Action, Request, plan_rootfs

_STORAGE = "storage"

OPTIONS = (
    Option("method", choices=recipes.METHODS, fixed=True),
    Option("suite", fixed=True),
    Option("mirror", fixed=True),
    Option("components", type="list", elements="str", fixed=True),
    Option("variant", choices=recipes.VARIANTS, fixed=True),
    Option("packages", type="list", elements="str", fixed=True),
    Option("exclude", type="list", elements="str", fixed=True),
    Option("keyring", type="path", fixed=True),
    Option("arch", fixed=True),
    Option("binaries", type="list", elements="str", fixed=True),
    Option("trust_group", fixed=True),
    Option(_STORAGE, choices=storage.KINDS, fixed=True),
    *size.OPTIONS,
)

_BOUNDS = tuple(option.name for option in size.OPTIONS)
_parse_bounds = parse_each(size.OPTIONS)


def _parse(given: Values, recorded: Values) -> dict[str, Any]:
    """All values of the recipe, so that two ways of writing one recipe compare equal; nothing when nothing was
    given."""
    said = {option.name: given[option.name] for option in OPTIONS if given.get(option.name) is not None}
    if not said and not recorded and given.get("state") == "absent":
        return {}
    whole = {**recorded, **said}
    kind = whole.pop(_STORAGE, storage.KINDS[0])
    bounds = _parse_bounds(said, {})
    try:
        recipe = recipes.parse({name: value for name, value in whole.items() if name not in ("version", *_BOUNDS)})
    except ValueError as error:
        option, _colon, text = str(error).partition(": ")
        raise JailError(text, option=option) from error
    return {**recipe, _STORAGE: kind, **bounds}


def _recipe(values: Values) -> recipes.Recipe:
    return {name: value for name, value in values.items() if name not in (_STORAGE, *_BOUNDS)}


def _create(request: Request, _actions: Sequence[Action]) -> None:
    try:
        key = templates.ensure(_recipe(request.values), build.confine)
        storage.create(request.name, request.values[_STORAGE], key, size.wanted(request.values))
    except BaseException:
        store.forget(request.name, FACET.name)
        raise


def _remove(request: Request, _actions: Sequence[Action]) -> None:
    storage.remove(request.name)


FACET = Facet(
    name="rootfs",
    options=OPTIONS,
    states=("present", "absent"),
    parse=_parse,
    plan=plan_rootfs,
    exists=lambda name: storage.describe(name) is not None,
    conflicts=no_conflicts,
    perform={CREATE: _create, REMOVE: _remove},
    settle=all_well,
)
