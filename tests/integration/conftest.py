# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All integration tests run in the sandbox."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _in_the_sandbox(sandboxed: None) -> None:
    """Before the first of them."""
