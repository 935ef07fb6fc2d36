# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Share again: give back the space of files that jails hold each for itself though they are equal.

An overlay is moved onto a newer template, which takes a jail that does not run; full trees share the extents of equal
files, whether their jails run or not. Jails of different trust groups share nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import JailError, sentence
from ..kernel import mounts
from ..rootfs import bounds, owned, storage, templates
from ..rootfs.sharing import dedupe, keep, rebase
from ..rootfs.sharing.dedupe import CannotShareError, Pool
from ..rootfs.sharing.lowers import Lowers
from ..rootfs.storage import Storage
from . import adopt, live, names, stop, store


class Outcome(NamedTuple):
    """What became of one jail, or would in check mode.

    :param template: the key of its template, before and after.
    :param bytes: its own bytes on disk, before and after; the latter is an estimate in check mode.
    :param dropped: files that it need not hold any more, for the template has them.
    :param copied_up: files of its former template that are its own now.
    :param deduplicated: files that share their content with equal ones now.
    :param skipped: why nothing, or not all, was done; no error.
    """

    template: tuple[str | None, str | None] = (None, None)
    bytes: tuple[int, int] = (0, 0)
    dropped: int = 0
    copied_up: int = 0
    deduplicated: int = 0
    skipped: str | None = None
    error: str | None = None

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return bool(self.dropped or self.copied_up or self.deduplicated or self.template[0] != self.template[1])

    def shown(self) -> dict[str, Any]:
        """For people and programs: without what did not happen."""
        found: dict[str, Any] = {
            "changed": self.changed,
            "template": self.template[1],
            "bytes_before": self.bytes[0],
            "bytes_after": self.bytes[1],
            "dropped": self.dropped,
            "copied_up": self.copied_up,
            "deduplicated": self.deduplicated,
        }
        if self.skipped:
            found["skipped_because"] = self.skipped
        if self.error:
            found.update(failed=True, msg=self.error)
        return found


def share_again(wanted: Sequence[str] | None, template: str | None, check: bool) -> dict[str, Outcome]:
    """Give space back, one jail after the other; one jail's failure does not stop its neighbours.

    :param wanted: the jails; ``None`` for all that have a root file system.
    :param template: the key of the template to move overlays onto; ``None`` for the newest that was built from the
        recipe of theirs.
    :param check: say what would be done, and do nothing.
    """
    chosen = storage.names() if wanted is None else list(dict.fromkeys(wanted))
    outcomes = {}
    with contextlib.ExitStack() as stack:
        run = _Run(template, check, stack)
        for name in chosen:
            try:
                outcomes[name] = run.share(names.check(name))
            except (JailError, OSError) as error:
                outcomes[name] = Outcome(error=sentence(error))
    return outcomes if check else {name: _measured(name, outcome) for name, outcome in outcomes.items()}


class _Run:
    """One call: the pools of its trust groups, and the templates that it has compared."""

    def __init__(self, template: str | None, check: bool, stack: contextlib.ExitStack) -> None:
        self._template, self._check, self._stack = template, check, stack
        self._pools: dict[str, Pool] = {}
        self._lowers: dict[tuple[str, str], Lowers] = {}

    def share(self, name: str) -> Outcome:
        """Do what can be done for one jail."""
        # Check mode leaves no trace and waits for nobody.
        with contextlib.nullcontext() if self._check else store.locked(name):
            stored = storage.describe(name)
            if stored is None:
                raise JailError("it has no root file system")
            group = _trust_group(name, stored.template)
            if stored.writable is None:
                return _untouched(stored, f"storage of kind {stored.kind} is a file system of its own")
            if stored.lower is None:
                return self._share_tree(stored, stored.writable, group)
            return self._share_overlay(name, stored, stored.writable, group)

    def _share_overlay(self, name: str, stored: Storage, upper: str, group: str) -> Outcome:
        if live.find(name) is not None:
            return _untouched(stored, "it runs, and an overlay cannot be moved onto another template meanwhile")
        if not self._check:
            stop.clear(name)
            adopt.settle(name)
        before = owned.bytes_of(upper)
        target, found, why = self._destination(name, stored.template, group)
        if not self._check and (target != stored.template or found.tally.dropped):
            rebase.move(name, target, self._pair(name, stored.template, target))
        try:  # what is left in the upper directory
            shared = self._pooled(upper, target, group, found.dropped)
        except CannotShareError:
            shared = dedupe.Shared(0, 0)
        return Outcome(
            template=(stored.template, target),
            bytes=(before, max(0, before - found.tally.gives_back - shared.bytes)),
            dropped=found.tally.dropped,
            copied_up=found.tally.copied,
            deduplicated=shared.files,
            skipped=why,
        )

    def _destination(self, name: str, template: str, group: str) -> tuple[str, rebase.Survey, str | None]:
        """The template to move onto, what that comes to, and why it is not the newest one when it is not."""
        target = self._template or rebase.newest_like(template)
        if _group_of_template(target) != group:
            what = f"is not of its trust group {group}" if templates.exists(target) else "is not there"
            raise JailError(f"template {target} {what}", option="template")
        found = rebase.survey(name, self._pair(name, template, target))
        if self._template or found.tally.gives_back >= 0:
            return target, found, None
        why = (
            f"over template {target} it would take {-found.tally.gives_back} bytes more than it gives back: "
            "upgrade it inside first, or name the template"
        )
        return template, rebase.survey(name, self._pair(name, template, template)), why

    def _share_tree(self, stored: Storage, tree: str, group: str) -> Outcome:
        before = owned.bytes_of(tree)
        try:
            shared = self._pooled(tree, stored.template, group, frozenset())
        except CannotShareError:
            return _untouched(
                stored, f"files of {mounts.filesystem_of(tree)} cannot share content; those of btrfs and xfs can"
            )
        return Outcome(
            template=(stored.template, stored.template),
            bytes=(before, max(0, before - shared.bytes)),
            deduplicated=shared.files,
        )

    def _pooled(self, tree: str, template: str, group: str, dropped: frozenset[str]) -> dedupe.Shared:
        """Have a tree share with its template and, where nobody pays for another, with the trees of its group.

        :param dropped: paths that are no part of it, or will be none.
        """
        if group not in self._pools:
            self._pools[group] = self._stack.enter_context(Pool())
        pool = self._pools[group]
        beneath = [templates.tree(template)] if templates.exists(template) else []
        for each in beneath:
            if not pool.knows(each):
                pool.add(each, keep.of(beneath))
        kept = keep.of((tree, *beneath))
        lends = not bounds.charges_first_writer(tree)
        return pool.share(tree, kept._replace(files=kept.files | dropped), lends, not self._check)

    def _pair(self, name: str, old: str, new: str) -> Lowers:
        if (old, new) not in self._lowers:
            self._lowers[old, new] = self._stack.enter_context(rebase.lowers_of(name, new))
        return self._lowers[old, new]


def _trust_group(name: str, template: str) -> str:
    """The trust group of a jail: that of its template, or, where a copy has outlived that, what was said at its making.

    :raises JailError: when nobody knows.
    """
    group = _group_of_template(template) or store.read(name, "rootfs").get("trust_group")
    if not group:
        raise JailError("its template is gone, and its trust group is not recorded")
    return str(group)


def _group_of_template(key: str) -> str | None:
    found = templates.describe(key)
    return str(found["recipe"]["trust_group"]) if found else None


def _untouched(stored: Storage, why: str) -> Outcome:
    used = owned.bytes_of(stored.writable) if stored.writable else 0
    return Outcome((stored.template, stored.template), (used, used), skipped=why)


def _measured(name: str, outcome: Outcome) -> Outcome:
    """With the bytes that the jail has of its own when all jails are done: what a later one shares with an earlier one
    is neither's own."""
    stored = storage.describe(name)
    if outcome.error or stored is None or stored.writable is None:
        return outcome
    with contextlib.suppress(JailError, FileNotFoundError):  # gone meanwhile, or grown too large to be counted
        return outcome._replace(bytes=(outcome.bytes[0], owned.bytes_of(stored.writable)))
    return outcome
