# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of sizes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.kernel import btrfs
from ansible_collections.cellblock.jails.tests.integration.support.limited import LibOn


@pytest.fixture
def lib(lib_on: LibOn) -> Callable[[str], None]:
    """A function that puts storage on a file system where limits work, or skips the test with the reason."""

    def put(filesystem: str) -> None:
        lib_on(filesystem)
        if filesystem == "btrfs" and not btrfs.knows_simple_quotas():
            pytest.skip("this kernel has no simple quotas of btrfs")

    return put
