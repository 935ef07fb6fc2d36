# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: jails
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
short_description: The jails of hosts, ready for tasks
description:
  - Asks hosts for their jails by C(jail ls --json), over SSH or on the controller itself, and makes each jail a host of
    the inventory, with what the connection P(cellblock.jails.jail#connection) needs to get into it.
  - Its file's name ends with C(jails.yml) or C(jails.yaml).
  - Hosts are reached by P(ansible.builtin.ssh#connection) as its settings and environment variables have it, and the
    variables that are written here. They are asked one after the other.
  - Jails that do not run are listed too; O(group_by) tells them apart.
  - "Variables of a jail: C(jail_name), C(jail_host) (the name of its host here), C(jail_status) (V(started) or
    V(stopped)), C(jail_addresses) (of its interfaces, without the length of the prefix), and C(jail_rootfs),
    C(jail_net), C(jail_limits) and C(jail_state), the options of the modules of these names as they hold."
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: V(cellblock.jails.jails).
    type: str
    required: true
    choices: [cellblock.jails.jails]
  hosts:
    description:
      - The hosts of jails, each a name, or a dictionary with O(hosts[].name) and O(hosts[].vars).
      - V(localhost) is the controller itself, unless its variables say C(ansible_jail_transport=ssh).
    type: list
    elements: raw
    required: true
    suboptions:
      name:
        description: What it is called here, and its address where C(ansible_host) does not say another.
        type: str
        required: true
      vars:
        description:
          - Variables for the way to the host, such as C(ansible_host), C(ansible_user), C(ansible_port) and
            C(ansible_jail_host_become). Its jails get them too.
        type: dict
        default: {}
  group:
    description: The group that all jails are in.
    type: str
    default: jails
  group_by:
    description:
      - What each jail is put in a group for, named by this word and the value, as in C(status_started).
      - V(host) is the jail's host, V(method) how its root file system was made, V(release) the suite or release of its
        distribution, and V(template) the template it was made of.
    type: list
    elements: str
    choices: [status, host, method, release, template]
    default: [status, host, method, release, template]
  hostname:
    description:
      - What a jail is called in the inventory. C({jail}) stands for its name and C({host}) for that of its host.
      - Two jails of one name are an error.
    type: str
    default: "{jail}"
  strict:
    description:
      - Whether a host that cannot be asked is an error; otherwise it is a warning, and the inventory lacks its jails.
      - The same for an expression of O(compose), O(groups) and O(keyed_groups) that fails, which is left out otherwise.
"""

EXAMPLES = r"""
# hypervisors.jails.yml; the hosts alone are enough
plugin: cellblock.jails.jails
hosts:
  - hypervisor1.example.com
  - name: hypervisor2
    vars: {ansible_host: 192.0.2.2, ansible_user: admin, ansible_jail_host_become: doas -n}
  - localhost # jails of the controller
hostname: "{jail}.{host}" # where two hosts have jails of one name
group_by: [status, host]
groups:
  web: jail_name.startswith("web")
keyed_groups:
  - {key: jail_limits.memory_max, prefix: memory}
compose:
  address: jail_addresses | first | default("")
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/jails
cache_timeout: 300
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.module_utils.common.text.converters import to_text
from ansible.playbook.play_context import PlayContext
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable, to_safe_group_name
from ansible.plugins.loader import connection_loader
from ansible.utils.display import Display

from ansible_collections.cellblock.jails.plugins.module_utils.errors import JailError
from ansible_collections.cellblock.jails.plugins.module_utils.jail import names
from ansible_collections.cellblock.jails.plugins.plugin_utils import hostside

display = Display()

Jails = Mapping[str, Mapping[str, Any]]
"""What C(jail ls --json) prints: jails by name."""

_HERE = ("localhost", "127.0.0.1", "::1")
_PARTS = ("rootfs", "net", "limits", "state")


class Place(NamedTuple):
    """A host of jails: its name here, and the variables that lead there."""

    name: str
    variables: Mapping[str, Any]

    @property
    def is_here(self) -> bool:
        """Whether it is the controller."""
        return bool(self.variables["ansible_jail_transport"] == "local")


def place_of(entry: object) -> Place:
    """An entry of O(hosts).

    :raises AnsibleParserError: when it is none.
    """
    known = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(known, Mapping) or not isinstance(known.get("name"), str) or known.keys() - {"name", "vars"}:
        raise AnsibleParserError(f"hosts: {entry!r} is neither a name nor a dictionary of name and vars")
    given = {} if known.get("vars") is None else known["vars"]
    if not isinstance(given, Mapping):
        raise AnsibleParserError(f"hosts: {known['name']}: vars is no dictionary")
    transport = "local" if known["name"] in _HERE else "ssh"
    usual = {"ansible_host": known["name"], "ansible_jail_transport": transport}
    return Place(known["name"], {**usual, **given})


def variables_of(place: Place, name: str, jail: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a jail."""
    interfaces = (jail.get("net") or {}).get("interfaces") or []
    addresses = [address.partition("/")[0] for each in interfaces for address in each.get("addresses") or []]
    return {
        **place.variables,
        "ansible_connection": "cellblock.jails.jail",
        "ansible_jail_name": name,
        "jail_name": name,
        "jail_host": place.name,
        "jail_status": jail["status"],
        "jail_addresses": addresses,
        **{f"jail_{part}": jail.get(part) or {} for part in _PARTS},
    }


def groups_of(variables: Mapping[str, Any], kinds: list[str]) -> Iterator[str]:
    """The groups that C(group_by) puts a jail in."""
    rootfs = variables["jail_rootfs"]
    values = {
        "status": variables["jail_status"],
        "host": variables["jail_host"],
        "method": rootfs.get("method"),
        "release": rootfs.get("suite") or rootfs.get("release"),
        "template": rootfs.get("template"),
    }
    yield from (to_safe_group_name(f"{kind}_{values[kind]}") for kind in kinds if values[kind])


def parsed(text: str) -> Jails:
    """What a host said.

    :raises AnsibleError: when that is not what C(jail ls --json) prints.
    """
    try:
        found = json.loads(text)
        if all(names.check(name) and "status" in jail for name, jail in found.items()):
            return dict(found)
    except (JailError, ValueError, AttributeError, TypeError):
        pass
    raise AnsibleError(f"what it says is no list of jails: {text.strip()[:80]!r}")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """The jails of hosts."""

    NAME = "cellblock.jails.jails"

    def _option(self, name: str) -> Any:
        read: Callable[[str], Any] = self.get_option
        return read(name)

    def verify_file(self, path: str) -> bool:
        """Whether a file is one of ours, by its name."""
        exists: Callable[[str], bool] = super().verify_file
        return exists(path) and path.endswith(("jails.yml", "jails.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill the inventory."""
        super().parse(inventory, loader, path, cache)
        read: Callable[[str], Any] = self._read_config_data
        read(path)
        self.load_cache_plugin()
        key = self.get_cache_key(path)
        remembers = self._option("cache")
        kept: dict[str, Jails] = dict(self._cache.get(key) or {}) if remembers and cache else {}
        places = [place_of(entry) for entry in self._option("hosts")]
        known = {place.name: kept[place.name] if place.name in kept else self._ask(place) for place in places}
        answers = {name: jails for name, jails in known.items() if jails is not None}
        if remembers and answers != kept:
            self._cache[key] = answers
        for place in places:
            for name, jail in sorted((answers.get(place.name) or {}).items()):
                self._add(inventory, variables_of(place, name, jail))

    def _ask(self, place: Place) -> Jails | None:
        """The jails of a host; ``None``, after a warning, when it cannot be asked."""
        try:
            jails = parsed(self._output(place))
            for name, jail in jails.items():
                list(groups_of(variables_of(place, name, jail), []))
            return jails
        except (AnsibleError, AttributeError, TypeError, ValueError) as error:
            text = f"the jails of {place.name} are not known: {error}"
            if self._option("strict"):
                raise AnsibleParserError(text) from error
            display.warning(text)
            return None

    def _output(self, place: Place) -> str:
        kind = "local" if place.is_here else "ssh"
        connection = connection_loader.get(f"ansible.builtin.{kind}", PlayContext())
        variables = {name: self.templar.template(value) for name, value in place.variables.items()}
        connection.set_options(var_options=variables)
        line = hostside.command(["ls", "--json"], variables.get("ansible_jail_host_become", hostside.BECOME))
        status, output, errors = connection.exec_command(line, sudoable=False)
        if status:
            raise AnsibleError(hostside.explanation(status, to_text(errors)))
        return str(to_text(output))

    def _add(self, inventory: Any, variables: dict[str, Any]) -> None:
        """Add a jail.

        :raises AnsibleParserError: when there is a host of that name.
        """
        pattern: str = self._option("hostname")
        name = pattern.replace("{jail}", variables["jail_name"]).replace("{host}", variables["jail_host"])
        present = inventory.get_host(name)
        if present is not None:
            # Also a host of another source: who names a jail like it must not get what is meant for it.
            both = f"{present.vars.get('jail_host', 'another source of the inventory')} and {variables['jail_host']}"
            raise AnsibleParserError(
                f"there is a host {name} of {both}: tell them apart by hostname: '{{jail}}.{{host}}'"
            )
        inventory.add_host(name)
        for variable, value in variables.items():
            inventory.set_variable(name, variable, value)
        groups = [to_safe_group_name(self._option("group")), *groups_of(variables, self._option("group_by"))]
        for group in groups:
            inventory.add_group(group)
            inventory.add_child(group, name)
        adding: Mapping[str, Callable[..., None]] = {
            "compose": self._set_composite_vars,
            "groups": self._add_host_to_composed_groups,
            "keyed_groups": self._add_host_to_keyed_groups,
        }
        for option, add in adding.items():
            add(self._option(option), variables, name, strict=self._option("strict"))
