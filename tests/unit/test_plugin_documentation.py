# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the connection and inventory plugins say of their options is what their code asks for, and ssh's are among
them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.plugins.connection import ssh

from ansible_collections.cellblock.jails.plugins.connection import jail
from ansible_collections.cellblock.jails.plugins.doc_fragments.ssh_options import ModuleDocFragment
from ansible_collections.cellblock.jails.plugins.inventory import jails
from ansible_collections.cellblock.jails.plugins.plugin_utils import hostside

_SSH: dict[str, Any] = yaml.safe_load(ssh.DOCUMENTATION)["options"]
_OF_FRAGMENTS = {
    jail: set(_SSH),
    jails: {"cache", "compose", "groups", "keyed_groups", "strict"},
}


def documented(plugin: Any) -> dict[str, Any]:
    """The options that a plugin documents itself."""
    found: dict[str, Any] = yaml.safe_load(plugin.DOCUMENTATION)["options"]
    return found


@pytest.mark.parametrize("plugin", [jail, jails])
def test_options_that_are_read_are_documented(plugin: Any) -> None:
    """And those that are documented are read."""
    read = set(re.findall(r'_option\("(\w+)"\)', Path(plugin.__file__).read_text(encoding="utf-8")))
    own = set(documented(plugin))
    assert read - _OF_FRAGMENTS[plugin] <= own
    assert own - read - _OF_FRAGMENTS[plugin] <= {"plugin"}


def test_every_option_of_ssh_is_there() -> None:
    """With its variables, settings and defaults, and no version that would be one of this collection's."""
    fragment = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert fragment.keys() == _SSH.keys()
    assert not set(documented(jail)) & fragment.keys()
    for name, option in fragment.items():
        assert option.get("default") == _SSH[name].get("default")
        names = [each["name"] for each in _SSH[name].get("vars", [])]
        assert [each["name"] for each in option.get("vars", [])] == names
    assert "version_added" not in ModuleDocFragment.DOCUMENTATION


def test_one_default_for_what_becomes_root() -> None:
    """Of both plugins."""
    assert documented(jail)["host_become"]["default"] == hostside.BECOME


@pytest.mark.parametrize("plugin", [jail, jails])
def test_examples_are_yaml(plugin: Any) -> None:
    """All of them, and those of the inventory have options that exist."""
    for example in yaml.safe_load_all(plugin.EXAMPLES):
        if plugin is jails:
            known = {*documented(plugin), *_OF_FRAGMENTS[plugin], "cache_plugin", "cache_connection", "cache_timeout"}
            assert set(example) <= known
