# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever two templates hold and whatever a jail did: moved from one to the other, it sees no difference."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import records, storage
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing import rebase
from ansible_collections.cellblock.jails.tests.integration.support import evidence, overlays
from ansible_collections.cellblock.jails.tests.integration.support.operations import (
    Operation,
    carry_out,
    filled,
    histories,
)
from ansible_collections.cellblock.jails.tests.integration.support.upgrades import NEW, OLD, moved

pytestmark = pytest.mark.usefixtures("cleared")

EXAMPLES = int(os.environ.get("JAILS_TEST_EXAMPLES", "150"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_the_view_stays_as_it_is(name: str, history: tuple[list[Operation], list[Operation], list[Operation]]) -> None:
    """Whatever the templates hold and whatever the jail did, it sees the same before and after; a second move has
    nothing to do; the templates are as they were."""
    first, upgrade, inside = history
    storage.remove(name)
    overlays.make_template(OLD, filled(first), "2026-01-01T00:00:00+00:00")
    overlays.make_template(NEW, filled([*first, *upgrade]), "2026-02-01T00:00:00+00:00")
    storage.create(name, "overlay", OLD)
    overlays.inside(name, lambda root: carry_out(root, inside))
    before, untouched = overlays.view(name), evidence.files(layout.TEMPLATES)
    tally = moved(name)
    assert overlays.view(name) == before
    assert evidence.files(layout.TEMPLATES) == untouched
    record = records.read(name)
    assert record is not None
    assert record.template == NEW
    again = moved(name)
    assert again == rebase.Tally(0, 0, 0, 0, 0), tally
    assert overlays.view(name) == before
