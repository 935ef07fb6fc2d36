# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that lacks a program of a method is told which package has it, before anything is downloaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import hosttools, recipes, templates
from ansible_collections.cellblock.jails.tests.integration.support.layer import never

DEAD = "http://127.0.0.1:9"
WISHES: dict[str, dict[str, Any]] = {
    "openssl": {"method": "apk", "release": "edge", "mirror": DEAD, "arch": "x86_64"},
    "debootstrap": {"method": "debootstrap", "suite": "sid", "mirror": DEAD},
    "mmdebstrap": {"method": "debootstrap", "suite": "sid", "mirror": DEAD, "tool": "mmdebstrap"},
    "dnf": {"method": "dnf", "release": "43", "packages": ["bash"], "repositories": [DEAD], "gpgkeys": ["/none"]},
    "rpm": {"method": "dnf", "release": "43", "packages": ["bash"], "repositories": [DEAD], "gpgkeys": ["/none"]},
}


@pytest.mark.parametrize("missing", WISHES)
def test_it_is_named(host: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    programs = host / "bin"
    programs.mkdir()
    for name in {*WISHES, "du"} - {missing}:
        (programs / name).write_text("#!/bin/false\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(hosttools, "_SEARCH_PATH", str(programs))
    with pytest.raises(
        JailError, match=f"^{missing} is not installed on the host; install the package {missing} there"
    ):
        templates.ensure(recipes.parse(WISHES[missing]), never)
    assert os.listdir(layout.TEMPLATES) == []
