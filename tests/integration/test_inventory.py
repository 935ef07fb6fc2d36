# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin asked by Ansible's own programs, for jails of this host and of one that is reached by SSH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.cellblock.jails.tests.integration.support import sshd
from ansible_collections.cellblock.jails.tests.integration.support.boxes import make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import ROOT, attempt, module


@pytest.fixture(scope="module")
def server() -> Iterator[sshd.Server]:
    """An SSH server on this host."""
    with sshd.serving() as running:
        yield running


@pytest.fixture
def two(names: Callable[[int], list[str]]) -> tuple[str, str]:
    """The names of a jail that runs and of one that does not."""
    one, other = names(2)
    make_boxes([one])
    module("jail_net", name=one, interfaces=[{"name": "e0", "bridge": "br-inv", "addresses": ["10.86.0.2/24"]}])
    module("jail_limits", name=one, memory_max="64M")
    module("jail_rootfs", name=other, method="skeleton", binaries=["busybox"])
    return one, other


def ansible(
    program: str, folder: Path, settings: dict[str, Any], *words: str, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible's on an inventory, after the words ``before``: those of other sources."""
    source = folder / "test.jails.yml"
    source.write_text(json.dumps({"plugin": "cellblock.jails.jails", **settings}))
    environment = {
        **os.environ,
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=5s",
    }
    return subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), program), *before, "-i", str(source), *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def listed(folder: Path, settings: dict[str, Any], *words: str) -> dict[str, Any]:
    """The inventory as ``ansible-inventory`` prints it."""
    done = ansible("ansible-inventory", folder, settings, "--list", *words)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout, object_hook=plain)
    return found


def plain(found: dict[str, Any]) -> Any:
    """A value without Ansible's mark that it came from elsewhere and is no template."""
    return found.get("__ansible_unsafe", found)


def test_jails_of_a_host_by_ssh(two: tuple[str, str], server: sshd.Server, tmp_path: Path) -> None:
    """They are there with groups and variables, composed ones too, and a command gets into the one that runs."""
    one, other = two
    settings = {
        "hosts": [{"name": "hv-1", "vars": server.variables()}],
        "compose": {"first": "jail_addresses | first | default('none')"},
        "groups": {"small": "jail_limits.memory_max == '64M'"},
        "keyed_groups": [{"key": "jail_status", "prefix": "is"}],
    }
    found = listed(tmp_path, settings)
    assert {one, other} <= set(found["jails"]["hosts"])
    assert one in found["status_started"]["hosts"]
    assert other in found["status_stopped"]["hosts"]
    assert {one, other} <= set(found["host_hv_1"]["hosts"])
    assert {one, other} <= set(found["method_skeleton"]["hosts"])
    assert [name for name in found if name.startswith("template_skeleton_")]
    assert found["small"]["hosts"] == [one]
    variables = found["_meta"]["hostvars"]
    assert variables[one]["jail_addresses"] == ["10.86.0.2"]
    assert (variables[one]["first"], variables[other]["first"]) == ("10.86.0.2", "none")
    assert variables[one]["ansible_port"] == server.port
    assert (one in found["is_started"]["hosts"], other in found["is_stopped"]["hosts"]) == (True, True)
    done = ansible("ansible", tmp_path, settings, one, "-m", "ansible.builtin.raw", "-a", "hostname")
    assert (done.returncode, f"\n{one}\n" in done.stdout) == (0, True), done.stdout + done.stderr


def test_jails_of_this_host(two: tuple[str, str], tmp_path: Path) -> None:
    """They are entered without SSH; the name in the inventory is made as is wished."""
    settings = {"hosts": ["localhost"], "hostname": "{jail}.{host}", "group": "guests", "group_by": []}
    found = listed(tmp_path, settings)
    assert {f"{name}.localhost" for name in two} <= set(found["guests"]["hosts"])
    assert set(found) == {"_meta", "all", "guests"}
    done = ansible("ansible", tmp_path, settings, f"{two[0]}.localhost", "-m", "ansible.builtin.raw", "-a", "hostname")
    assert (done.returncode, f"\n{two[0]}\n" in done.stdout) == (0, True), done.stdout + done.stderr


def test_one_name_on_two_hosts(two: tuple[str, str], tmp_path: Path) -> None:
    """It is refused with the way out, and never one host with the variables of another."""
    hosts = ["localhost", {"name": "again", "vars": {"ansible_jail_transport": "local"}}]
    done = ansible("ansible-inventory", tmp_path, {"hosts": hosts}, "--list")
    assert done.returncode != 0
    assert "'{jail}.{host}'" in done.stderr
    found = listed(tmp_path, {"hosts": hosts, "hostname": "{jail}.{host}"})
    assert {f"{two[0]}.localhost", f"{two[0]}.again"} <= set(found["jails"]["hosts"])


def test_a_host_that_is_down(two: tuple[str, str], tmp_path: Path) -> None:
    """A warning that names it, and the jails of the others; with ``strict`` an error."""
    down = {"name": "hv-down", "vars": {"ansible_host": "127.0.0.1", "ansible_port": 1}}
    settings: dict[str, Any] = {"hosts": [down, "localhost"]}
    done = ansible("ansible-inventory", tmp_path, settings, "--list")
    assert two[0] in json.loads(done.stdout)["jails"]["hosts"]
    assert "the jails of hv-down are not known" in " ".join(done.stderr.split())
    done = ansible("ansible-inventory", tmp_path, {**settings, "strict": True}, "--list")
    assert done.returncode != 0
    assert "the jails of hv-down are not known" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_what_is_cached_is_not_asked_again(two: tuple[str, str], tmp_path: Path) -> None:
    """Until the cache is flushed."""
    one, other = two
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path / "cache")}
    settings: dict[str, Any] = {"hosts": ["localhost"], **cache}
    assert {one, other} <= set(listed(tmp_path, settings)["jails"]["hosts"])
    attempt("jail_state", name=[other], state="absent")
    assert {one, other} <= set(listed(tmp_path, settings)["jails"]["hosts"])
    assert other not in listed(tmp_path, settings, "--flush-cache")["jails"]["hosts"]
    assert other not in listed(tmp_path, settings)["jails"]["hosts"]


def test_a_jail_does_not_take_the_place_of_another_host(two: tuple[str, str], tmp_path: Path) -> None:
    """One that is named as a host of another source is refused, with the way out: plays for that host stay its own."""
    one, _other = two
    first = tmp_path / "a_hosts.json"
    first.write_text(json.dumps({"all": {"hosts": {one: {"ansible_host": "192.0.2.9"}}}}))
    settings: dict[str, Any] = {"hosts": ["localhost"]}
    done = ansible("ansible-inventory", tmp_path, settings, "--host", one, before=("-i", str(first)))
    said = " ".join((done.stderr + done.stdout).split())
    assert f"there is a host {one} of another source of the inventory and localhost" in said
    apart = {**settings, "hostname": "{jail}.{host}"}
    done = ansible("ansible-inventory", tmp_path, apart, "--host", one, before=("-i", str(first)))
    assert json.loads(done.stdout, object_hook=plain) == {"ansible_host": "192.0.2.9"}
