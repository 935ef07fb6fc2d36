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
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import build, rootfs
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import btrfs
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import (
    hosttools,
    images,
    recipes,
    storage,
    templates,
)
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.backing import image
from ansible_collections.cellblock.jails.tests.integration.support import faults

SMALL: dict[str, Any] = {"method": "skeleton", "binaries": ["true"]}


def converged(name: str, **options: Any) -> None:
    """What the module does for one jail."""
    faults.converged(rootfs.FACET, name, **options)


def limited(kind: str) -> dict[str, str]:
    """The options of a limit, where this kernel has one for the kind."""
    return {"size": "32M"} if kind == "image" or (kind == "btrfs" and btrfs.knows_simple_quotas()) else {}


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


PLACES = [*(("", kind) for kind in storage.KINDS if kind != "btrfs"), ("btrfs", "btrfs"), ("btrfs", "overlay")]
"""A file system of our own or none, and a kind of storage. Each kind is there; on btrfs all directories of ours are
subvolumes."""


@pytest.fixture
def place(lib_on: Callable[..., str], request: pytest.FixtureRequest) -> str:
    """Puts storage on the file system of one of :data:`PLACES`; gives the kind."""
    filesystem, kind = request.param
    if filesystem:
        lib_on(filesystem)
    return str(kind)


def test_every_kind_has_its_place() -> None:
    """A new kind gets a row above."""
    assert {kind for _filesystem, kind in PLACES} == set(storage.KINDS)


@pytest.mark.parametrize("place", PLACES, indirect=True, ids="-".join)
def test_every_step_of_making_storage(name: str, place: str) -> None:
    """Each kind: the next run makes it, the one after has nothing to do."""
    wish = {**SMALL, "storage": place, **limited(place)}
    converged(name, **wish)  # the template is there

    def finish() -> None:
        converged(name, **wish)
        assert storage.describe(name) is not None
        converged(name, state="absent")

    finish()
    faults.survives_every_kill(lambda: converged(name, **wish), finish)


@pytest.mark.parametrize("place", PLACES, indirect=True, ids="-".join)
def test_every_step_of_removing_storage(name: str, place: str) -> None:
    """Each kind: the next run removes what is left."""
    wish = {**SMALL, "storage": place, **limited(place)}
    converged(name, **wish)

    def finish() -> None:
        converged(name, state="absent")
        assert storage.describe(name) is None
        converged(name, **wish)

    faults.survives_every_kill(lambda: converged(name, state="absent"), finish)


def test_every_step_of_resizing_an_image(name: str) -> None:
    """A jail's file system is whole and has the old size or the new one, and the next run gives it the new one."""
    wish = {**SMALL, "storage": "image"}
    converged(name, **wish, size="24M")
    path = image.image(layout.storage(name))

    def finish() -> None:
        assert images.superblock(path).size in (24 << 20, 20 << 20)
        assert hosttools.output_of(["/sbin/e2fsck", "-f", "-n", path])[0] == 0
        converged(name, size="20M")
        assert images.superblock(path).size == 20 << 20
        assert sorted(os.listdir(layout.storage(name))) == ["image", "storage.json"]
        converged(name, size="24M")

    faults.survives_every_kill(lambda: converged(name, size="20M"), finish)


@pytest.mark.parametrize("filesystem", ["btrfs", "ext4-prjquota", "xfs-prjquota"])
def test_every_step_of_setting_a_limit(lib_on: Callable[..., str], name: str, filesystem: str) -> None:
    """The next run makes it hold; removal leaves none."""
    lib_on(filesystem)
    if filesystem == "btrfs" and not btrfs.knows_simple_quotas():
        pytest.skip("this kernel has no simple quotas of btrfs")
    converged(name, **SMALL)

    def finish() -> None:
        converged(name, size="20M")
        assert storage.bounds_of(name).size == 20 << 20
        converged(name, size="unlimited")

    faults.survives_every_kill(lambda: converged(name, size="20M"), finish)
