# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates: root file systems built once from a recipe and named by what is in it.

``layout.template(KEY)`` holds ``root``, the tree, and ``template.json``. It is made under another name and gets its
own with one rename(2) when all of it is on disk, so a template that is there is whole. Nothing changes it afterwards:
where it is too old, a new generation (:mod:`generations`) is built beside it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any

from .. import files, layout
from ..errors import JailError
from ..kernel import paths
from . import buildlog, generations, recipes, records, space, staging, volumes
from .builder import Builder, Confine
from .fetching import caches
from .methods import apk, archive, debootstrap, dnf, skeleton

_BUILDERS: Mapping[str, Builder] = {
    "apk": apk.build,
    "archive": archive.build,
    "debootstrap": debootstrap.build,
    "dnf": dnf.build,
    "skeleton": skeleton.build,
}
_LOCK = "template-"
_BUILD_LOCK = "recipe-"
_FILE = "template.json"


def tree(key: str) -> str:
    """The directory that holds the root file system."""
    return os.path.join(layout.template(key), "root")


def locked(key: str) -> AbstractContextManager[None]:
    """Hold a template's lock for a ``with`` block: it is neither built nor removed meanwhile."""
    return staging.locked(_LOCK, key)


class GoneError(JailError):
    """A template was removed between the moment that it was looked up and the moment that it was needed."""


def ensure(recipe: recipes.Recipe, confine: Confine, not_before: float = 0) -> str:
    """Build a template of a recipe unless one is there, and give its key. Two at once build it once.

    Takes minutes where packages are downloaded; ``layout.BUILD_LOG`` shows how far it is.

    :param recipe: from :func:`recipes.parse`.
    :param not_before: one that was built before this time (seconds since the epoch) is too old: a new generation is
        built, and the old one stays for the jails that have it.
    :raises JailError: with what the builder said last. Nothing is left of a build that failed.
    """
    key = recipes.key(recipe)
    found = _built_since(recipe, not_before)
    if found is None:
        # A lock beside those of the generations: the old one can be used while the new one is built.
        with staging.locked(_BUILD_LOCK, key):
            found = _built_since(recipe, not_before)
            if found is None:
                found = generations.following(key, names())
                with locked(found):
                    _build(found, recipe, confine)
    return found


def newest(recipe: recipes.Recipe) -> str | None:
    """The key of the newest template of a recipe, which is whole; ``None`` when there is none."""
    found = generations.of(recipes.key(recipe), names())
    return found[-1] if found else None


def _built_since(recipe: recipes.Recipe, moment: float) -> str | None:
    """The newest template of a recipe, if it was not built before this moment (which counts in whole seconds)."""
    key = newest(recipe)
    described = None if key is None else describe(key)
    return key if described is not None and built_at(described) >= int(moment) else None


def exists(key: str) -> bool:
    """Whether the template is there, and so whole."""
    return os.path.isfile(os.path.join(layout.template(key), _FILE))


def describe(key: str) -> dict[str, Any] | None:
    """``recipe``, ``key``, ``generation`` (1 and up), ``built`` (UTC, ISO 8601) and ``bytes`` on disk; ``None`` when
    it is not there."""
    found: dict[str, Any] | None = files.read_json(os.path.join(layout.template(key), _FILE))
    return found


def built_at(described: Mapping[str, Any]) -> float:
    """When a template was built, in seconds since the epoch."""
    return datetime.fromisoformat(described["built"]).timestamp()


def names() -> list[str]:
    """The keys of all templates, sorted."""
    return staging.names(layout.TEMPLATES, _FILE)


def remove(key: str) -> None:
    """Remove a template; none is fine.

    :raises JailError: when a jail is nothing without it.
    """
    with locked(key):
        users = records.dependents(key)
        if users:
            raise JailError(f"template {key} is in use by {', '.join(users)}", advice="remove those jails first")
        staging.remove(layout.TEMPLATES, key)


def remove_unused(key: str) -> bool:
    """Remove a template that no jail came from; whether it was one."""
    with locked(key):
        if records.users(key):
            return False
        staging.remove(layout.TEMPLATES, key)
        return True


def leftovers() -> list[str]:
    """The paths of what :func:`sweep` would clear."""
    return staging.leftovers(layout.TEMPLATES, _LOCK)


def sweep() -> list[str]:
    """Clear what killed builds and removals left; the keys that were."""
    return staging.sweep(layout.TEMPLATES, _LOCK)


def _build(key: str, recipe: recipes.Recipe, confine: Confine) -> None:
    started = time.monotonic()
    with caches.in_use(), buildlog.recording(key) as log:
        log.note(f"I: building {json.dumps(recipe, sort_keys=True)}")
        with staging.made_whole(layout.TEMPLATES, key, f"template {key} cannot be built") as folder:
            root = os.path.join(folder, "root")
            with paths.opened(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as parent:
                volumes.make(parent, "root", 0o755)
            _BUILDERS[recipe["method"]](recipe, root, confine, log)
            size = space.bytes_below(root)
            built = datetime.now(timezone.utc).isoformat(timespec="seconds")
            description = {
                "recipe": recipe,
                "key": key,
                "generation": generations.number(key),
                "built": built,
                "bytes": size,
            }
            files.write_json(os.path.join(folder, _FILE), description)
            staging.sync_filesystem(folder)
        log.note(f"I: built in {time.monotonic() - started:.0f} s, {size >> 20} MiB")
