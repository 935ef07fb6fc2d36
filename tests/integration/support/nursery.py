# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process of the host's Python in which Ansible and pyroute2 are loaded already, and of which modules are forked.

A fresh interpreter spends a quarter of a second on loading them, and these tests run modules some hundreds of times.
The modules and all code of this collection are loaded anew in each fork. :func:`main` runs in that process.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import select
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

SECONDS = 120
"""After which a call counts as hanging."""


class Nursery:
    """Our end of it.

    :param command: runs this file, see :mod:`calls`.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._process.wait()  # it has forked: tests that look for children of theirs must not find it

    def run(self, module: str, arguments: str, environment: Mapping[str, str]) -> tuple[int, str, str]:
        """Run a module file; its exit status, standard output and standard error."""
        assert self._process.stdin
        assert self._process.stdout
        request = {"module": module, "arguments": arguments, "environment": dict(environment)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        ready, _out, _errors = select.select([self._process.stdout], [], [], SECONDS)
        assert ready, f"{module} hangs"
        status, output, errors = json.loads(self._process.stdout.readline())
        return status, output, errors

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.read()
        self._process.stdout.close()


def main() -> None:
    """Answer requests until there are no more, as nobody's child."""
    if os.fork():
        os._exit(0)
    basic = importlib.import_module("ansible.module_utils.basic")
    with contextlib.suppress(ImportError):  # the tests that need it will say so
        importlib.import_module("pyroute2.iproute")
    for line in sys.stdin:
        request = json.loads(line)
        output, errors = os.memfd_create("stdout"), os.memfd_create("stderr")
        pid = os.fork()
        if not pid:
            _become(basic, request, output, errors)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps([status, _content(output), _content(errors)]), flush=True)


def _become(basic: Any, request: Mapping[str, Any], output: int, errors: int) -> None:
    """Be the module, and end."""
    status: Any = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.closerange(3, 64)
        os.environ.clear()
        os.environ.update(request["environment"])
        basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = request["arguments"].encode(), "legacy"
        sys.argv = [request["module"]]
        runpy.run_path(request["module"], run_name="__main__")
    except SystemExit as end:
        status = end.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _content(descriptor: int) -> str:
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        file.seek(0)
        return file.read()
