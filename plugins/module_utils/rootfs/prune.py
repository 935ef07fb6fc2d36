# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give back the space of what nobody needs: templates that no jail came from, leftovers of killed runs, downloads."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from .. import layout
from . import generations, records, space, storage, templates
from .fetching import caches

TEMPLATE, LEFTOVER, CACHE = "template", "leftover", "cache"


class Item(NamedTuple):
    """Something to remove: its kind, its name, and the bytes on disk that it takes.

    The name is a template's key, a cache's name, or a leftover's path below ``layout.LIB``.
    """

    kind: str
    name: str
    bytes: int


class Wish(NamedTuple):
    """What to remove.

    :param templates: templates that no jail came from, and what killed builds and removals left.
    :param cache: downloads of builders.
    :param older_than: only templates that were built, and downloads that were last used, so many seconds ago.
        (Leftovers have no age: nobody works on them any more.)
    :param keep_newest: not the newest template of a recipe, so that its next jail is made at once.
    """

    templates: bool
    cache: bool
    older_than: int
    keep_newest: bool


def find(wish: Wish) -> list[Item]:
    """What the wish comes to. Touches nothing."""
    moment = time.time() - wish.older_than
    found = []
    if wish.templates:
        found += [_item(TEMPLATE, key, layout.template(key)) for key in _unused(moment, wish.keep_newest)]
        paths = [*templates.leftovers(), *storage.leftovers()]
        found += [_item(LEFTOVER, os.path.relpath(path, layout.LIB), path) for path in paths]
    if wish.cache:
        sizes = {name: caches.bytes_used(name, moment) for name in caches.names()}
        found += [Item(CACHE, name, size) for name, size in sizes.items() if size]
    return found


def remove(wish: Wish) -> list[Item]:
    """Remove what the wish comes to, and give what was removed. A template that a jail came from meanwhile stays."""
    moment = time.time() - wish.older_than
    items = find(wish)
    if wish.templates:
        templates.sweep()
        storage.sweep()
    removed = []
    for item in items:
        if item.kind == CACHE:
            removed.append(item._replace(bytes=caches.clear(item.name, moment)))
        elif _is_gone(item) or (item.kind == TEMPLATE and templates.remove_unused(item.name)):
            removed.append(item)
    return removed


def _is_gone(leftover: Item) -> bool:
    return leftover.kind == LEFTOVER and not os.path.lexists(os.path.join(layout.LIB, leftover.name))


def _unused(moment: float, keep_newest: bool) -> list[str]:
    known = {key: described for key in templates.names() if (described := templates.describe(key)) is not None}
    newest = {generations.of(generations.key_of(key), list(known))[-1] for key in known}
    return [
        key
        for key, described in known.items()
        if not records.users(key) and templates.built_at(described) < moment and not (keep_newest and key in newest)
    ]


def _item(kind: str, name: str, path: str) -> Item:
    return Item(kind, name, space.bytes_below(path))
