# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at every step of making and removing root file systems: the next run converges, and nothing leaks.

A step is a system call by which our process changes anything (:data:`tracing.CHANGING`); they are counted in an
undisturbed run and then taken one by one. Making a jail is building a template by a method and then making storage of a
kind, one after the other and apart from each other, so each method and each kind is enumerated by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import build, rootfs
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, storage, templates
from ansible_collections.cellblock.jails.tests.integration.support import faults

SMALL: dict[str, Any] = {"method": "skeleton", "binaries": ["true"]}


@pytest.fixture(autouse=True)
def orphans() -> Iterator[None]:
    """For every test here."""
    with faults.orphans_are_ours():
        yield


def converged(name: str, **options: Any) -> None:
    """What the module does for one jail."""
    faults.converged(rootfs.FACET, name, **options)


def test_every_step_of_building_a_template() -> None:
    """Method ``skeleton``: the next build makes a whole template."""
    recipe = recipes.parse({**SMALL, "trust_group": "faults"})

    def build_template() -> None:
        templates.ensure(recipe, build.confine)

    def finish() -> None:
        build_template()
        assert os.path.exists(f"{templates.tree(recipes.key(recipe))}/usr/bin/true")
        templates.remove(recipes.key(recipe))

    faults.survives_every_kill(build_template, finish)


@pytest.mark.parametrize("kind", storage.KINDS)
def test_every_step_of_making_storage(name: str, kind: str) -> None:
    """Each kind: the next run makes it, the one after has nothing to do."""
    wish = {**SMALL, "storage": kind}
    converged(name, **wish)  # the template is there

    def finish() -> None:
        converged(name, **wish)
        assert storage.describe(name) is not None
        converged(name, state="absent")

    finish()
    faults.survives_every_kill(lambda: converged(name, **wish), finish)


@pytest.mark.parametrize("kind", storage.KINDS)
def test_every_step_of_removing_storage(name: str, kind: str) -> None:
    """Each kind: the next run removes what is left."""
    wish = {**SMALL, "storage": kind}
    converged(name, **wish)

    def finish() -> None:
        converged(name, state="absent")
        assert storage.describe(name) is None
        converged(name, **wish)

    faults.survives_every_kill(lambda: converged(name, state="absent"), finish)
