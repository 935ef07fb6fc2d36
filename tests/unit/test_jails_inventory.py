# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory plugin makes of what hosts say, and what is said of a host that cannot be asked."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from ansible.errors import AnsibleError, AnsibleParserError

from ansible_collections.cellblock.jails.plugins.inventory import jails
from ansible_collections.cellblock.jails.plugins.plugin_utils import hostside

_JAIL = {
    "status": "started",
    "rootfs": {"method": "debootstrap", "suite": "bookworm", "template": "debootstrap-0f"},
    "net": {"interfaces": [{"name": "eth0", "addresses": ["10.0.0.2/24", "fd00::2/64"]}]},
    "limits": {"memory_max": "64M"},
    "state": {"hostname": "web1"},
}


@pytest.mark.parametrize(
    ("entry", "name", "transport", "address"),
    [
        ("hv1", "hv1", "ssh", "hv1"),
        ("localhost", "localhost", "local", "localhost"),
        ({"name": "hv1", "vars": {"ansible_host": "192.0.2.1"}}, "hv1", "ssh", "192.0.2.1"),
        ({"name": "localhost", "vars": {"ansible_jail_transport": "ssh"}}, "localhost", "ssh", "localhost"),
        ({"name": "hv1", "vars": None}, "hv1", "ssh", "hv1"),
    ],
)
def test_hosts(entry: object, name: str, transport: str, address: str) -> None:
    """Names and dictionaries; what is said wins over what is usual."""
    place = jails.place_of(entry)
    assert (place.name, place.variables["ansible_jail_transport"]) == (name, transport)
    assert place.variables["ansible_host"] == address


@pytest.mark.parametrize("entry", [7, None, [], {}, {"name": 7}, {"name": "x", "vars": []}, {"name": "x", "var": {}}])
def test_what_is_no_host_is_refused(entry: object) -> None:
    """And named."""
    with pytest.raises(AnsibleParserError, match="hosts: "):
        jails.place_of(entry)


def test_variables_and_groups() -> None:
    """What the connection needs, what is known, and a group for each of it."""
    variables = jails.variables_of(jails.place_of("hv-1"), "web1", _JAIL)
    assert variables["ansible_connection"] == "cellblock.jails.jail"
    assert (variables["ansible_jail_name"], variables["ansible_host"]) == ("web1", "hv-1")
    assert variables["jail_addresses"] == ["10.0.0.2", "fd00::2"]
    assert variables["jail_limits"] == {"memory_max": "64M"}
    kinds = ["status", "host", "method", "release", "template"]
    assert list(jails.groups_of(variables, kinds)) == [
        "status_started",
        "host_hv_1",
        "method_debootstrap",
        "release_bookworm",
        "template_debootstrap_0f",
    ]


def test_a_jail_without_a_root_file_system() -> None:
    """What a jail does not have is no group, and an empty variable."""
    bare: dict[str, Any] = {"status": "stopped", "rootfs": None, "net": {"interfaces": []}}
    variables = jails.variables_of(jails.place_of("hv1"), "x", bare)
    assert (variables["jail_rootfs"], variables["jail_addresses"]) == ({}, [])
    assert list(jails.groups_of(variables, ["status", "method", "release", "template"])) == ["status_stopped"]


@pytest.mark.parametrize("text", ["", "motd\n{}", "[]", '["status"]', '{"a": 1}', '{"a": {}}', "null"])
def test_what_is_no_list_of_jails_is_refused(text: str) -> None:
    """Whatever it is."""
    with pytest.raises(AnsibleError, match="no list of jails"):
        jails.parsed(text)


def test_what_is_one_is_taken() -> None:
    """Also an empty one."""
    assert jails.parsed("{}") == {}
    assert jails.parsed(json.dumps({"web1": _JAIL})) == {"web1": _JAIL}


def test_a_command_keeps_its_words() -> None:
    """Through the shell of the host, whatever they hold; what becomes root is words of a shell too."""
    words = ["exec", "a b", "'\"$x", "new\nline"]
    line = shlex.split(hostside.command(words, "doas -u 'a b'"))
    assert line[:2] == ["/bin/sh", "-c"]
    assert line[3:] == ["sh", "/usr/local/sbin/jail", *words]
    assert "exec doas -u 'a b' \"$@\"" in line[2]


@pytest.mark.parametrize(
    ("status", "output", "said"),
    [
        (125, "jail: web1: it does not run; start it\n", "it does not run; start it"),
        (125, "jail: web1: no such jail\r\nShared connection to hv1 closed.\r\n", "no such jail"),
        (127, "sh: 1: exec: /usr/local/sbin/jail: not found\n", "installs it"),
        (1, "sudo: a password is required\n", "ansible_jail_host_become"),
        (1, "doas: Operation not permitted\n", "ansible_jail_host_become"),
        (2, "usage: jail exec\njail exec: error: unrecognized arguments: --report x\n", "another version"),
        (137, "", "exit status 137"),
    ],
)
def test_explanations_are_one_line(status: int, output: str, said: str) -> None:
    """With what to do about it where that is known."""
    text = hostside.explanation(status, output)
    assert said in text
    assert "\n" not in text
