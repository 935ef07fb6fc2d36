# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of what is under test as a host makes them: the module files and the ``jail`` command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import ansible

from ansible_collections.cellblock.jails.plugins.module_utils import layout

from .nursery import SECONDS, Nursery

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", ".."))
"""The collection."""

_SYSTEM_PYTHON = "/usr/bin/python3"
PYTHON = _SYSTEM_PYTHON if os.path.exists(_SYSTEM_PYTHON) else sys.executable
"""The interpreter of modules, as ``inventory/hosts.yml`` has it: the one with the distribution's pyroute2."""

_START = """
import runpy, sys, types
package = types.ModuleType("ansible")
package.__path__ = [sys.argv.pop(1)]
package.__file__ = package.__path__[0] + "/__init__.py"
sys.modules["ansible"] = package
sys.path[:0] = [sys.argv.pop(1)]
"""
"""Ansible sends its ``module_utils`` along with a module. Here they come from the controller's own directory, of which
the module must see nothing else."""
_RUN = "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
_SERVE = "from ansible_collections.cellblock.jails.tests.integration.support import nursery; nursery.main()"


def _command(then: str, *words: str) -> list[str]:
    collections = os.path.join(ROOT, ".collections")
    return [PYTHON, "-I", "-c", _START + then, os.path.dirname(ansible.__file__), collections, *words]


def path_of(which: str) -> str:
    """The file of a module."""
    return os.path.join(ROOT, "plugins", "modules", f"{which}.py")


def command_line(which: str) -> list[str]:
    """The command that runs a module in a process of its own, with :func:`arguments` on standard input."""
    return _command(_RUN, path_of(which))


def arguments(options: Mapping[str, Any], check: bool = False) -> str:
    """What a module is given."""
    internal = {"_ansible_check_mode": check, "_ansible_diff": True}
    return json.dumps({"ANSIBLE_MODULE_ARGS": {**options, **internal}})


@lru_cache(maxsize=1)
def nursery() -> Nursery:
    """The process of which modules are forked, started at first use."""
    return Nursery(_command(_SERVE))


def attempt(
    which: str, /, *, check: bool = False, environment: Mapping[str, str] | None = None, **options: Any
) -> dict[str, Any]:
    """Run a module and give its result, whether it failed or not. It must say nothing else, least of all where in its
    code it was."""
    surroundings = os.environ if environment is None else environment
    status, output, errors = nursery().run(path_of(which), arguments(options, check), surroundings)
    return checked(status, output, errors)


def checked(status: int, output: str, errors: str) -> dict[str, Any]:
    """A module's result, from what its process left."""
    assert "Traceback" not in output + errors, output + errors
    assert not errors, errors
    result: dict[str, Any] = json.loads(output)
    assert status == int(bool(result.get("failed"))), result
    return result


def module(which: str, /, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """Run a module that must succeed; its result."""
    result = attempt(which, check=check, **options)
    assert not result.get("failed"), result["msg"]
    return result


def refused(which: str, /, *, check: bool = False, **options: Any) -> str:
    """Run a module that must fail; its message."""
    result = attempt(which, check=check, **options)
    assert result.get("failed"), result
    return str(result["msg"])


def jail(*words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the ``jail`` command that the modules put on the host, without a terminal, and with something in its
    environment that no jail may see."""
    environment = {**os.environ, "HOST_SECRET": "hunter2"}
    return subprocess.run(
        [layout.COMMAND, *words], input=given, capture_output=True, check=False, timeout=SECONDS, env=environment
    )


def inside(name: str, *words: str) -> str:
    """What a command prints in a jail, where it must succeed."""
    done = jail("exec", name, "--", *words)
    assert done.returncode == 0, (words, done)
    return done.stdout.decode()


def shell(name: str, script: str) -> str:
    """What a shell script prints in a jail, where it must succeed."""
    return inside(name, "sh", "-c", script)


def actions(result: Mapping[str, Any], name: str) -> list[tuple[str, Any, Any, str]]:
    """The actions on one jail in a module's result: option, before, after, how."""
    return [(each["option"], each["before"], each["after"], each["how"]) for each in result["jails"][name]["actions"]]


def options_changed(result: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    """The same, without the values."""
    return [(option, how) for option, _before, _after, how in actions(result, name)]


def pid_of(name: str) -> int:
    """The host's number of a running jail's first process, by the module."""
    found = module("jail_info", name=[name], gather=[])["jails"][name]["pid"]
    assert isinstance(found, int), f"{name} does not run"
    return found
