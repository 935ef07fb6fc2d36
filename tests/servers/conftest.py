# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox, and a jail of Debian of which each server gets a clone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from ansible_collections.cellblock.jails.plugins.module_utils.jail import build
from ansible_collections.cellblock.jails.plugins.module_utils.rootfs import recipes, templates
from ansible_collections.cellblock.jails.tests.integration.support import mirrors
from ansible_collections.cellblock.jails.tests.integration.support.boxes import fresh_name
from ansible_collections.cellblock.jails.tests.integration.support.calls import attempt, jail, module
from ansible_collections.cellblock.jails.tests.servers.support import forwarder
from ansible_collections.cellblock.jails.tests.servers.support.debian import GATEWAY, OPTIONS, Debian, wire
from ansible_collections.cellblock.jails.tests.servers.support.table import Table


def pytest_configure(config: pytest.Config) -> None:
    """Print the table."""
    config.pluginmanager.register(Table())


@pytest.fixture(scope="session", autouse=True)
def _in_the_sandbox(sandboxed: None) -> None:
    """Before the first test."""


@pytest.fixture(scope="session")
def debian(sandboxed: None) -> Iterator[Debian]:
    """With a network that ends at a forwarder to the host's mirror."""
    if not shutil.which("debootstrap"):
        pytest.skip("debootstrap is not installed")
    with mirrors.reached() as mirror:
        if not mirror.startswith("http://"):
            pytest.skip(f"the host's mirror is not reached by plain HTTP, which alone can be forwarded: {mirror}")
        templates.ensure(recipes.parse(OPTIONS), build.confine)
    name = fresh_name()
    with forwarder.running() as port:
        place = f"{GATEWAY}:{port}"
        module("jail_rootfs", jails=[{"name": name, **OPTIONS}])
        wire(name, 2)
        module("jail_state", name=[name], command=["sleep", "100000"], state="started")
        proxy = f'Acquire::http::Proxy "http://{place}";'
        script = f"echo '{proxy}' > /etc/apt/apt.conf.d/90forwarder && apt-get update"
        done = jail("exec", name, "--", "sh", "-c", script)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        module("jail_state", name=[name], command=[], state="stopped")
        yield Debian(name, place)
    attempt("jail_state", name=[name], state="absent")
