# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_rootfs``: from which template a jail is cloned, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import JailError
from ..rootfs import checksums, recipes, storage, templates
from . import build, store
from .facet import Facet, Values, all_well, no_conflicts
from .options import Option
from .plan import CREATE, REMOVE, Action, Request, plan_rootfs

_STORAGE = "storage"
_ARCHIVE = "archive"

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
    Option("path", type="path", once=True),
    Option("url", once=True),
    Option("checksum", fixed=True),
    Option("trust_group", fixed=True),
    Option(_STORAGE, choices=storage.KINDS, fixed=True),
)


def _parse(given: Values, recorded: Values) -> dict[str, Any]:
    """All values of the recipe, so that two ways of writing one recipe compare equal; nothing when nothing was
    given."""
    said = {option.name: given[option.name] for option in OPTIONS if given.get(option.name) is not None}
    if not recorded and given.get("state") == "absent":
        return {}
    whole = {**recorded, **said}
    kind = whole.pop(_STORAGE, storage.KINDS[0])
    try:
        if whole.get("method") == _ARCHIVE and not recorded:
            whole["checksum"] = _identity(whole)
        recipe = recipes.parse({name: value for name, value in whole.items() if name != "version"})
    except ValueError as error:
        option, _colon, text = str(error).partition(": ")
        raise JailError(text, option=option) from error
    return {**recipe, _STORAGE: kind}


def _identity(values: Values) -> str | None:
    """The checksum of an archive that nothing is recorded of yet; that of a file need not be given, it can be found."""
    if not any(values.get(name) for name in recipes.PLACES):
        raise ValueError(f"path: method {_ARCHIVE} needs it, or url")
    given: str | None = values.get("checksum")
    return given if given or values.get("url") else checksums.of_file(recipes.host_path(values["path"]))


def _recipe(values: Values) -> recipes.Recipe:
    return {name: value for name, value in values.items() if name != _STORAGE}


def _create(request: Request, _actions: Sequence[Action]) -> None:
    try:
        key = templates.ensure(_recipe(request.values), build.confine)
        storage.create(request.name, request.values[_STORAGE], key)
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
