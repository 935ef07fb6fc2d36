# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known not to be stopped, until the day when the test says that it is."""

from __future__ import annotations

import pytest


class WentThroughError(Exception):
    """An attack has. (Any other failure of a test is one, whether it is marked as known or not.)"""


def expect_stopped(is_stopped: bool, what: str) -> None:
    """
    :raises WentThroughError: unless it is.
    """
    if not is_stopped:
        raise WentThroughError(what)


def not_stopped(what: str, why: str) -> pytest.MarkDecorator:
    """The mark of a test that :class:`WentThroughError` ends; the day it does not, it fails."""
    return pytest.mark.xfail(reason=f"{what}: {why}", raises=WentThroughError, strict=True)
