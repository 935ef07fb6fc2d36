# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``jail_rootfs``: from which template a jail is cloned and how, and what in its tree is its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..errors import JailError
from ..rootfs import recipes, storage, templates
from ..rootfs.fetching import checksums
from . import ages, build, clone, identity, size, store
from .facet import Facet, Values, all_well, no_conflicts, parse_each
from .options import Option
from .plan import CREATE, REMOVE, Action, Request, plan_rootfs

_STORAGE = "storage"
_ARCHIVE = "archive"
_BEGAN = time.time()
"""What was built since then is new enough for every jail of this run."""

_RECIPE = (
    Option("method", choices=tuple(sorted((*recipes.METHODS, clone.METHOD))), fixed=True),
    Option("suite", fixed=True),
    Option("mirror", fixed=True),
    Option("components", type="list", elements="str", fixed=True),
    Option("variant", choices=recipes.VARIANTS, fixed=True),
    Option("packages", type="list", elements="str", fixed=True),
    Option("exclude", type="list", elements="str", fixed=True),
    Option("keyring", type="path", fixed=True),
    Option("arch", fixed=True),
    Option("tool", choices=recipes.TOOLS, fixed=True),
    Option("release", fixed=True),
    Option("repositories", type="list", elements="raw", fixed=True),
    Option("keys", type="path", fixed=True),
    Option("apk", type="path", fixed=True),
    Option("allow_untrusted", type="bool", fixed=True),
    Option("gpgkeys", type="list", elements="path", fixed=True, public=True),
    Option("binaries", type="list", elements="str", fixed=True),
    Option("path", type="path", once=True),
    Option("url", once=True),
    Option("checksum", fixed=True),
    Option("trust_group", fixed=True),
)

_OTHERS = (Option("refresh", parse=ages.parse, once=True), *size.OPTIONS, *identity.OPTIONS)

_MADE_OF = (*_RECIPE, *clone.OPTIONS, Option(_STORAGE, choices=storage.KINDS, fixed=True))

OPTIONS = (*_MADE_OF, *_OTHERS)

_parse_others = parse_each(_OTHERS)


def _parse(given: Values, recorded: Values) -> dict[str, Any]:
    """All values of the recipe, so that two ways of writing one recipe compare equal, and the others as given; nothing
    when nothing was given."""
    others = _parse_others(given, recorded)
    made_of = [option.name for option in _MADE_OF]
    said = {name: given[name] for name in made_of if given.get(name) is not None}
    before = {name: recorded[name] for name in made_of if name in recorded}
    if not before and given.get("state") == "absent":
        return {}
    if said.get("method", before.get("method")) == clone.METHOD:
        values = clone.parse(given["name"], said, before)
        if not before and given.get("state") != "absent":
            values = clone.foresee(values)
        return {**values, **others}
    same_method = said.get("method", before.get("method")) == before.get("method")
    whole = {**(before if same_method else {}), **said}
    kind = whole.pop(_STORAGE, storage.KINDS[0])
    try:
        if whole.get("method") == _ARCHIVE and not before:
            whole["checksum"] = _identity(whole)
        recipe = recipes.parse(whole)
    except ValueError as error:
        option, _colon, text = str(error).partition(": ")
        raise JailError(text, option=option) from error
    return {**recipe, _STORAGE: kind, **others}


def _identity(values: Values) -> str | None:
    """The checksum of an archive that nothing is recorded of yet; that of a file need not be given, it can be found."""
    if not any(values.get(name) for name in recipes.PLACES):
        raise ValueError(f"path: method {_ARCHIVE} needs it, or url")
    given: str | None = values.get("checksum")
    return given if given or values.get("url") else checksums.of_file(recipes.host_path(values["path"]))


def _recipe(values: Values) -> recipes.Recipe:
    made_of = {"version", *(option.name for option in _RECIPE)}
    return {name: value for name, value in values.items() if name in made_of}


def _create(request: Request, _actions: Sequence[Action]) -> None:
    try:
        if request.values["method"] == clone.METHOD:
            clone.create(request.name, request.values)
        else:
            _make(request)
    except BaseException:
        store.forget(request.name, FACET.name)
        raise


def _make(request: Request) -> None:
    refresh = request.values.get("refresh")
    not_before = 0 if refresh is None else _BEGAN - refresh
    while True:
        key = templates.ensure(_recipe(request.values), build.confine, not_before)
        try:
            storage.create(request.name, request.values[_STORAGE], key, size.wanted(request.values))
        except templates.GoneError:
            continue  # removed in this very moment, as no jail came from it yet
        return


def _remove(request: Request, _actions: Sequence[Action]) -> None:
    storage.remove(request.name)


def _source(request: Request) -> Sequence[str]:
    """The jail of which this one is a clone."""
    source = request.values.get("source")
    return () if source is None else (source,)


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
    companions=_source,
)
