# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of identity."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from ansible_collections.cellblock.jails.tests.integration.support.calls import shell
from ansible_collections.cellblock.jails.tests.integration.support.identities import FURNISH


@pytest.fixture(autouse=True)
def reaped() -> Iterator[None]:
    """A jail that is started here, not by a module, has us for a parent: no test leaves a child."""
    yield
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


@pytest.fixture
def furnished(box: str) -> str:
    """A running jail whose tree has all that the options need, and no SSH server."""
    shell(box, FURNISH)
    return box
