# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules' documentation says of options is what the option tables say."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from ansible_collections.cellblock.jails.plugins.module_utils import module as seam

_MODULES = Path(__file__).parents[2] / "plugins" / "modules"
NAMES = sorted(path.stem for path in _MODULES.glob("*.py"))


_OF_THE_HOST = ("jail_dedupe", "jail_info", "jail_prune")
"""Modules that are about the host, not about one jail or many."""


class _AskedError(Exception):
    """Carries the argument specification that a module asks Ansible for."""


def specification(name: str) -> dict[str, Any]:
    """What the module gives to ``AnsibleModule``."""
    imported = importlib.import_module(f"ansible_collections.cellblock.jails.plugins.modules.{name}")

    def ask(**arguments: Any) -> None:
        raise _AskedError(arguments)

    with mock.patch.object(seam, "AnsibleModule", ask), pytest.raises(_AskedError) as caught:
        imported.main()
    found: dict[str, Any] = caught.value.args[0]
    return found


def documented(name: str, part: str = "DOCUMENTATION") -> Any:
    """A part of the module's documentation."""
    imported = importlib.import_module(f"ansible_collections.cellblock.jails.plugins.modules.{name}")
    return yaml.safe_load(getattr(imported, part))


def facts(options: Mapping[str, Any], inner: str) -> dict[str, Any]:
    """Of each option what documentation and specification both say; ``inner`` is the key of suboptions."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "choices": option.get("choices"),
            "required": bool(option.get("required")),
            "default": option.get("default"),
            "suboptions": facts(option[inner], inner) if option.get(inner) else None,
        }
        for name, option in options.items()
    }


def test_there_are_modules() -> None:
    """The tests below have something to test."""
    assert {*_OF_THE_HOST, "jail_limits", "jail_net", "jail_rootfs", "jail_state"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_options_are_documented_as_they_are(name: str) -> None:
    """Names, types, elements, choices, defaults and suboptions, in ``jails`` as well."""
    assert facts(documented(name)["options"], "suboptions") == facts(specification(name)["argument_spec"], "options")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in _OF_THE_HOST])
def test_a_list_takes_the_options_of_one_jail(name: str) -> None:
    """``jails`` has every option of the top level but itself, of the same kind, and a name that is needed."""
    options = dict(specification(name)["argument_spec"])
    each = dict(options.pop("jails")["options"])
    assert each.pop("name") == {"type": "str", "required": True}
    options.pop("name")
    assert each == options


@pytest.mark.parametrize("name", NAMES)
def test_check_mode_is_supported_as_documented(name: str) -> None:
    """Every module takes part in check mode."""
    assert specification(name)["supports_check_mode"] is True
    assert "cellblock.jails.attributes" in documented(name)["extends_documentation_fragment"]


@pytest.mark.parametrize("name", NAMES)
def test_examples_use_options_that_exist(name: str) -> None:
    """Each task of the examples names a module of the collection, with options of it."""
    for task in documented(name, "EXAMPLES"):
        if f"cellblock.jails.{name}" in task:
            given = task[f"cellblock.jails.{name}"] or {}
            known = specification(name)["argument_spec"]
            assert set(given) <= set(known)
            for jail in given.get("jails", []):
                assert set(jail) <= set(known["jails"]["options"])


def test_every_module_is_in_the_action_group() -> None:
    """``module_defaults`` for the group reaches all of them."""
    runtime = yaml.safe_load((_MODULES.parents[1] / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert sorted(runtime["action_groups"]["all"]) == NAMES
