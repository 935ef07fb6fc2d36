# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``jail`` command on a terminal: what runs in the jail has one of its own, and ours is as it was afterwards."""

from __future__ import annotations

import os
import signal
import termios
import time

import pytest

from ansible_collections.cellblock.jails.tests.integration.support.calls import jail, pid_of
from ansible_collections.cellblock.jails.tests.integration.support.terminals import SECONDS, on_terminal


def test_the_command_gets_a_terminal_of_the_jail(shared_box: str) -> None:
    """``tty`` names one of the jail's own, of the size of ours, and TERM says what ours is. Its status comes back, and
    our terminal has its old settings."""
    with on_terminal("exec", shared_box, "--", "sh", "-c", "tty; stty size; echo $TERM; exit 5") as terminal:
        assert terminal.end() == 5
        shown = terminal.shown.decode().split("\r\n")
        assert shown[0].startswith("/dev/pts/")
        assert shown[1:3] == ["31 97", "vt220"]
        assert termios.tcgetattr(terminal.slave) == terminal.before


@pytest.mark.row(17)
def test_our_terminal_never_enters(shared_box: str) -> None:
    """What is open inside is one terminal, of the jail's own devpts and not of the host's, and it is the controlling
    one: nothing can be typed into ours from there."""
    script = "stat -c %d:%r /dev/tty $(tty); ls -l /proc/self/fd; echo to-tty > /dev/tty"
    with on_terminal("exec", shared_box, "--", "sh", "-c", script) as terminal:
        terminal.end()
        shown = terminal.shown.decode()
        inner = {line.split("-> ")[1].strip() for line in shown.splitlines() if "-> /dev/pts" in line}
        assert len(inner) == 1
        path = f"/proc/{pid_of(shared_box)}/root{inner.pop()}"
        assert os.path.exists(path) or "to-tty" in shown
        assert os.stat(os.path.dirname(path)).st_dev != os.fstat(terminal.slave).st_dev
        assert "to-tty" in shown


def test_keys_window_and_signals_pass(shared_box: str) -> None:
    """What is typed arrives, a change of the window is told, Ctrl-C interrupts the command and not the client."""
    traps = "trap 'echo interrupted' INT; trap 'stty size' WINCH"
    script = f"{traps}; echo ready; while :; do read -r line && echo got $line; done"
    with on_terminal("exec", shared_box, "--", "sh", "-c", script) as terminal:
        terminal.wait_for("ready")
        terminal.type("hello\n")
        terminal.wait_for("got hello")
        terminal.resize(11, 22)
        os.kill(terminal.client.pid, signal.SIGWINCH)
        terminal.type("\n")
        terminal.wait_for("11 22")
        terminal.type("\x03")
        terminal.wait_for("interrupted")
        assert terminal.client.poll() is None
        jail("exec", shared_box, "--", "sh", "-c", "kill -9 -1")
        assert terminal.end() == 137
        assert termios.tcgetattr(terminal.slave) == terminal.before


def test_enter_is_a_login_shell(shared_box: str) -> None:
    """``enter`` gives a shell on a terminal, whose status is the client's."""
    with on_terminal("enter", shared_box) as terminal:
        terminal.wait_for("# ")
        terminal.type("echo $((6*7)); tty; exit 3\n")
        assert terminal.end() == 3
        shown = terminal.shown.decode()
        assert "\r\n42\r\n" in shown
        assert "/dev/pts/" in shown
        assert termios.tcgetattr(terminal.slave) == terminal.before


@pytest.mark.parametrize("attempt", range(10))
def test_a_terminal_is_had_every_time(shared_box: str, attempt: int) -> None:
    """Entering is not a matter of who is first: the process inside or the one that brought it there."""
    with on_terminal("exec", shared_box, "--", "echo", "fine") as terminal:
        assert terminal.end() == 0
        assert terminal.shown == b"fine\r\n"


def test_a_command_that_is_not_there(shared_box: str) -> None:
    """On a terminal too the status tells what was wrong, and the terminal is put back."""
    with on_terminal("exec", shared_box, "--", "no-such") as terminal:
        assert terminal.end() == 127
        assert b"no such program" in terminal.shown
        assert termios.tcgetattr(terminal.slave) == terminal.before


def test_output_that_is_piped_stays_clean(shared_box: str) -> None:
    """With the output in a pipe and the input a terminal, the pipe gets what the command prints and no echo of keys."""
    with on_terminal("exec", shared_box, "--", "sh", "-c", "read -r a; echo got $a", piped_output=True) as terminal:
        time.sleep(1)
        terminal.type("keys\n")
        assert terminal.client.stdout
        assert terminal.client.stdout.read() == b"got keys\n"
        assert terminal.end() == 0


def test_terminal_that_goes_away_ends_the_command(shared_box: str) -> None:
    """Closing the window hangs up what runs inside, as it does without a jail."""
    with on_terminal("exec", shared_box, "--", "sh", "-c", "echo here; exec sleep 9753") as terminal:
        terminal.wait_for("here")
        terminal.client.send_signal(signal.SIGHUP)
        assert terminal.end() == 129
    assert "9753" not in jail("exec", shared_box, "--", "ps").stdout.decode()


def test_what_the_jail_does_not_read_keeps_nobody(shared_box: str) -> None:
    """A command that reads nothing while much more is typed than a terminal holds ends when it ends, and the jail can
    still be entered."""
    with on_terminal("exec", shared_box, "--", "sh", "-c", "stty raw -echo; echo deaf; sleep 2; exit 5") as terminal:
        terminal.wait_for("deaf")
        os.set_blocking(terminal.master, False)
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            try:
                os.write(terminal.master, b"x" * 4096)
            except BlockingIOError:
                time.sleep(0.01)
        assert terminal.client.wait(SECONDS) == 5
    assert jail("exec", shared_box, "--", "true").returncode == 0
