# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that calls methods of the connection plugin, see :mod:`connect`; it is a program of Ansible's, which finds
collections by itself."""

from __future__ import annotations

import base64
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


def worded(value: Any) -> Any:
    """A value as JSON can have it."""
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def unworded(value: Any) -> Any:
    """The value again."""
    if isinstance(value, list):
        return tuple(unworded(each) for each in value)
    return base64.b64decode(value["bytes"]) if isinstance(value, dict) else value


def _main() -> None:
    from ansible.parsing.dataloader import DataLoader
    from ansible.playbook.play_context import PlayContext
    from ansible.plugins.loader import connection_loader, init_plugin_loader
    from ansible.template import Templar

    init_plugin_loader()
    given = json.load(sys.stdin)
    context = PlayContext()
    connection = connection_loader.get(given["plugin"], context)
    read: Any = connection._resolve_option_variables
    connection.set_options(var_options=read(given["variables"], Templar(loader=DataLoader())))
    if given["memory"]:
        size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + given["memory"],) * 2)
    answers: list[Any] = []
    seconds: list[float] = []
    for name, arguments in given["calls"]:
        begun = time.monotonic()
        try:
            result = getattr(connection, name)(*(unworded(each) for each in arguments))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test asks for
            answers.append([type(error).__name__, str(error)])
            break
        seconds.append(time.monotonic() - begun)
        answers.append([worded(each) for each in result] if name == "exec_command" else None)
    json.dump({"answers": answers, "seconds": seconds}, sys.stdout)


if __name__ == "__main__":
    _main()
