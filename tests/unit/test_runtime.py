# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module has to carry the whole runtime, or two modules would install two of them in turn."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
_PACKAGE = "ansible_collections.cellblock.jails.plugins.module_utils"


def _imported(path: Path) -> set[Path]:
    """The files of the collection that a file imports, anywhere in it: what Ansible sends along with it."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = path.parents[node.level - 1]
        elif (node.module or "").startswith(_PACKAGE):
            base = _ROOT
        else:
            continue
        dotted = (node.module or "").replace(_PACKAGE, "").strip(".")
        base = base.joinpath(*dotted.split(".")) if dotted else base
        candidates = [base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)]
        found.update(candidate for candidate in candidates if candidate.is_file())
    return found


def _carried(module: Path) -> set[Path]:
    seen: set[Path] = set()
    waiting = {module}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        waiting |= _imported(path) - seen
    return seen - {module}


@pytest.mark.parametrize("name", ["jail_rootfs", "jail_net", "jail_limits", "jail_state"])
def test_a_module_carries_every_file(name: str) -> None:
    """All but the empty ``__init__.py`` files, which Ansible makes up itself."""
    every = {path for path in _ROOT.rglob("*.py") if path.name != "__init__.py"}
    assert _carried(_ROOT.parent / "modules" / f"{name}.py") == every
