# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The marks of overlayfs."""

from __future__ import annotations

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs.sharing import marks


def test_what_is_seen_through_an_overlay() -> None:
    """Where something came from is not; what a program set inside is, and so are inode flags."""
    attributes = {
        "user.overlay.origin": b"1",
        "user.overlay.impure": b"y",
        "user.overlay.opaque": b"y",
        "user.overlay.protattr": b"+",
        "user.overlay.overlay.opaque": b"y",
        "user.x": b"2",
        "trusted.overlay.opaque": b"y",
    }
    seen = {"user.overlay.protattr", "user.overlay.overlay.opaque", "user.x", "trusted.overlay.opaque"}
    assert set(marks.seen(attributes, "x")) == seen
    assert marks.history(attributes) == {"user.overlay.impure": b"y"}
    assert marks.is_opaque(attributes)
    assert not marks.is_opaque({"user.overlay.opaque": b"x"})
    assert not marks.is_opaque({"trusted.overlay.opaque": b"y"})


@pytest.mark.parametrize("name", ["redirect", "metacopy", "something"])
def test_marks_that_lead_elsewhere_are_refused(name: str) -> None:
    """In an upper directory those, in a template each one."""
    with pytest.raises(JailError, match=rf"/usr/x has the mark 'user.overlay.{name}'"):
        marks.seen({f"user.overlay.{name}": b""}, "usr/x")
    with pytest.raises(JailError, match=rf"/usr/x of the template has 'user.overlay.{name}'"):
        marks.plain({f"user.overlay.{name}": b""}, "usr/x")
    assert marks.plain({f"user.overlay.overlay.{name}": b""}, "usr/x")
