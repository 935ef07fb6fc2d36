# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do a piece of work in a Python of its own whose program file nobody can write (:mod:`image`).

For what goes into a jail that shares the host's user namespace: its root is the host's, and what it executes there may
be a script whose interpreter is ``/proc/self/exe``, which at that moment is the host's Python.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import NoReturn

from ..errors import JailError
from ..kernel import image, process

_MAIN = """
import importlib, json, sys
request = json.loads(sys.argv[1])
sys.path[:] = request["path"]
importlib.import_module(request["here"]).main(request)
"""


def call(module: str, function: str, argument: str) -> None:
    """Call a function of one of our modules in such a process, and wait for it. It ends when we do.

    :raises JailError: that which the function raised.
    """
    reading, writing = os.pipe()
    request = {"here": __name__, "path": sys.path, "module": module, "function": function, "argument": argument}

    def child() -> NoReturn:
        process.die_with_parent()
        os.dup2(writing, 1)
        image.execute_read_only([sys.executable, "-I", "-c", _MAIN, json.dumps(request)], os.environ)

    pid = process.fork(child)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answers:
        text = answers.read()
    status = process.wait(pid)
    error = json.loads(text) if text else None
    if error:
        raise JailError(error["what"], error["option"], error["advice"])
    if status:
        raise JailError(f"the process that was to {function} it ended with status {status}")


def main(request: dict[str, str]) -> None:
    """Be that process."""
    try:
        getattr(importlib.import_module(request["module"]), request["function"])(request["argument"])
    except JailError as error:
        _tell(error.args[0], error.option, error.advice)
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        _tell(f"{error.strerror}{name}", None, None)


def _tell(what: str, option: str | None, advice: str | None) -> None:
    sys.stdout.write(json.dumps({"what": what, "option": option, "advice": advice}))
