# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can name a jail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import names


@pytest.mark.parametrize("name", ["a", "0", "web1", "a-b", "a--b", "x" * 63])
def test_names(name: str) -> None:
    """One label of a host name, in lower case."""
    assert names.check(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a.b",
        "a/b",
        "/a",
        "-a",
        "a-",
        "A",
        "a b",
        " a",
        "a\n",
        "\na",
        "a\0",
        "a_b",
        "é",
        "x" * 64,
        "a@b",
        "${x}",
    ],
)
def test_what_cannot_be_a_name(name: str) -> None:
    """Nothing that could be a path, an option, another line, a unit or a word of a shell."""
    with pytest.raises(JailError, match="cannot name a jail"):
        names.check(name)


@given(st.text(max_size=70))
def test_a_name_is_always_a_safe_file_name(name: str) -> None:
    """Whatever is let through has only those characters, and neither begins nor ends with a hyphen."""
    try:
        names.check(name)
    except JailError:
        return
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert 1 <= len(name) <= 63
    assert name[0] != "-" != name[-1]
