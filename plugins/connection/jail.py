# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: jail
author:
  - cellblock.jails contributors (@cellblock)
version_added: 0.1.0
short_description: Run tasks in jails, of this host or of hosts that are reached by SSH
description:
  - Runs what a task does in a running jail, as its root and held by all that holds the jail, by the command C(jail) of
    the jail's host.
  - The host is reached as by P(ansible.builtin.ssh#connection), with all of that plugin's options, connections that are
    kept open and pipelining among them. They are about the host, also C(ansible_host), C(ansible_port) and
    C(ansible_user). With O(transport=local) the host is the controller.
  - C(become) works in the jail. The connection is the jail's root already, so it is only needed for other users.
  - Files are streamed, whatever their names and sizes. They are opened in the jail by processes of the jail, so no link
    in it leads anywhere else.
extends_documentation_fragment:
  - cellblock.jails.ssh_options
  - ansible.builtin.connection_pipelining
requirements:
  - The C(jail) command on the host, which the modules of this collection put there
  - C(/bin/sh) in the jail, C(cat) for files, and a Python for most modules
notes:
  - C(ssh_transfer_method) and the options of scp and sftp have no effect.
  - When a task is interrupted, or the connection to the host is lost, what it has started in the jail and not detached
    is hung up (C(SIGHUP)).
options:
  jail_name:
    description:
      - The name of the jail on its host.
      - What the inventory calls it, where nothing is said.
    type: str
    vars:
      - name: ansible_jail_name
    keyword:
      - name: delegate_to
  inventory_name:
    description: What the inventory calls the jail.
    type: str
    vars:
      - name: inventory_hostname
  transport:
    description: How its host is reached. V(local) is for jails of the controller itself.
    type: str
    choices: [ssh, local]
    default: ssh
    vars:
      - name: ansible_jail_transport
  host_become:
    description:
      - The command, with its options, that runs another as root on the host. It is used where the user that logged in
        there is not root, and must not ask for a password.
      - It runs C(/usr/local/sbin/jail exec), and has to pass on standard input and output.
    type: str
    default: sudo -n
    vars:
      - name: ansible_jail_host_become
    ini:
      - section: jail_connection
        key: host_become
    env:
      - name: ANSIBLE_JAIL_HOST_BECOME
"""

EXAMPLES = r"""
# An inventory by hand; the inventory plugin cellblock.jails.jails writes the same.
jails:
  vars:
    ansible_connection: cellblock.jails.jail
  hosts:
    web1: # a jail of another host
      ansible_host: hypervisor1.example.com
      ansible_user: admin
      ansible_jail_host_become: doas -n
    web1.staging: # the name of a jail is not always its own in the inventory
      ansible_host: hypervisor2.example.com
      ansible_jail_name: web1
    dns1: # a jail of this host
      ansible_jail_transport: local
"""

import contextlib
import os
import re
import secrets
import subprocess
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection.ssh import Connection as SshConnection
from ansible.plugins.loader import connection_loader
from ansible.utils.display import Display

from ansible_collections.cellblock.jails.plugins.plugin_utils import hostside

display = Display()

_Result = tuple[int, bytes, bytes]

_INTO = 'cat >"$1"'
_OUT_OF = 'exec <"$1" && exec cat'
_FROM_FILE = 'file=$1; shift; exec "$@" <"$file"'
_TO_FILE = 'file=$1; shift; exec "$@" >"$file"'
"""Scripts of /bin/sh: the first two of the jail's, the others of the controller's."""
_BY_PIPE = {
    _FROM_FILE: 'file=$1; shift; exec <"$file"; cat | "$@"',
    _TO_FILE: 'file=$1; shift; exec >"$file"; "$@" | cat',
}
"""The same where nobody is in between: a process of the jail could keep a descriptor of a file itself, and go on
reading or writing what the file becomes."""


class Connection(SshConnection):
    """The ssh connection, and at its far end a command that enters a jail; or that command alone."""

    transport = "cellblock.jails.jail"

    def __init__(self, play_context: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(play_context, *args, **kwargs)
        self._local = connection_loader.get("ansible.builtin.local", play_context, *args, **kwargs)

    def _option(self, name: str) -> Any:
        read: Callable[[str], Any] = self.get_option
        return read(name)

    @property
    def _jail(self) -> str:
        return str(self._option("jail_name") or self._option("inventory_name"))

    @property
    def _is_local(self) -> bool:
        return bool(self._option("transport") == "local")

    @property
    def _place(self) -> str:
        return "this host" if self._is_local else str(self._option("host") or self._play_context.remote_addr)

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> _Result:
        """Run a shell's command line in the jail: its exit status, output and error output.

        :raises AnsibleConnectionFailure: when there is no way into the jail.
        """
        display.vvv(f"JAIL {self._jail}: EXEC {cmd}", host=self._place)
        word = secrets.token_hex(8)
        line = self._line(word, "/bin/sh", "-c", cmd)
        if not self._is_local:
            return self._reported(word, super().exec_command(line, in_data=in_data, sudoable=sudoable))
        return self._reported(word, self._exec_locally(word, line, in_data, sudoable))

    def put_file(self, in_path: str, out_path: str) -> Any:
        """Write a file of the controller into one of the jail."""
        display.vvv(f"JAIL {self._jail}: PUT {in_path} TO {out_path}", host=self._place)
        path = to_bytes(in_path, errors="surrogate_or_strict")
        if not os.path.exists(path):
            raise AnsibleFileNotFound(f"{in_path!r} does not exist")
        return self._transfer(_FROM_FILE, path, _INTO, out_path)

    def fetch_file(self, in_path: str, out_path: str) -> Any:
        """Write a file of the jail into one of the controller, which is not there when that failed."""
        display.vvv(f"JAIL {self._jail}: FETCH {in_path} TO {out_path}", host=self._place)
        path = to_bytes(out_path, errors="surrogate_or_strict")
        try:
            return self._transfer(_TO_FILE, path, _OUT_OF, in_path)
        except AnsibleError:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise

    def reset(self) -> None:
        """Close the connection to the host that is kept open, if there is one."""
        if not self._is_local:
            super().reset()

    def _line(self, word: str, *command: str) -> str:
        """What to run on the host; its error output ends with ``word`` and the status of the command in the jail."""
        words = ["exec", "--report", word, self._jail, "--", *command]
        return hostside.command(words, self._option("host_become"))

    def _exec_locally(self, word: str, line: str, in_data: bytes | None, sudoable: bool) -> _Result:
        self._local.set_options(direct={"pipelining": self._option("pipelining")})
        self._local.set_become_plugin(self.become)
        try:
            result: _Result = self._local.exec_command(line, in_data=in_data, sudoable=sudoable)
        except AnsibleError as error:
            # Become did not succeed, maybe because there is no way into the jail: that would be an error here.
            self._transfer(_FROM_FILE, os.devnull.encode(), _INTO, os.devnull)
            raise AnsibleError(re.sub(rf"{word} \d+\n", "", str(error))) from error
        return result

    def _transfer(self, redirection: str, path: bytes, script: str, inner: str) -> _Result:
        """Run a script in the jail with its input or output redirected on the controller, by a shell, so that nothing
        passes through our memory.

        :param path: the controller's file.
        :param inner: the jail's file, the script's argument.
        """
        word = secrets.token_hex(8)
        # Also a name that begins with a dash is none of an option after a redirection.
        line = self._line(word, "/bin/sh", "-c", script, "sh", inner)
        redirected = [b"/bin/sh", b"-c", redirection.encode(), b"sh", path]
        if self._is_local:
            redirected[2] = _BY_PIPE[redirection].encode()
            command = [*redirected, b"/bin/sh", b"-c", to_bytes(line, errors="surrogate_or_strict")]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            result: _Result = (done.returncode, done.stdout, done.stderr)
        else:
            result = self._run_redirected(redirected, line)
        status, output, errors = self._reported(word, result)
        if status or result[0]:
            text = to_text(errors).strip() or f"exit status {status}"
            raise AnsibleError(f"jail {self._jail} on {self._place}: {inner!r} cannot be transferred: {text}")
        return status, output, errors

    def _run_redirected(self, redirected: list[bytes], line: str) -> _Result:
        """What ssh's plugin does to run a command, with a shell in between that redirects."""
        self.host = self._option("host") or self._play_context.remote_addr
        executable = to_bytes(self._option("ssh_executable"), errors="surrogate_or_strict")
        command = self._build_command(self._option("ssh_executable"), "ssh", self.host, line)
        place = command.index(executable)  # before it may stand what gives ssh a password
        return self._run([*command[:place], *redirected, *command[place:]], None, sudoable=False, checkrc=False)

    def _reported(self, word: str, result: _Result) -> _Result:
        """The result without the report, and with the status that it tells. On a terminal both outputs are one.

        :raises AnsibleConnectionFailure: when there is no report: the command did not run, or its end is unknown.
        """
        status, output, errors = result
        report = re.compile(word.encode() + rb" (\d+)\r?\n")
        if found := report.search(errors):
            return int(found[1]), output, errors[: found.start()] + errors[found.end() :]
        if found := report.search(output):
            return int(found[1]), output[: found.start()] + output[found.end() :], errors
        text = to_text(errors + b"\n" + output, errors="surrogate_or_replace")
        raise AnsibleConnectionFailure(f"jail {self._jail} on {self._place}: {hostside.explanation(status, text)}")
