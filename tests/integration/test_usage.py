# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted of jails is what they did; as a table, live or once, as JSON, and as metrics."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.cellblock.jails.plugins.module_utils import layout
from ansible_collections.cellblock.jails.plugins.module_utils.jail import live
from ansible_collections.cellblock.jails.plugins.module_utils.kernel import process
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup import usage
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.group import Group
from ansible_collections.cellblock.jails.tests.integration.support.boxes import make_boxes
from ansible_collections.cellblock.jails.tests.integration.support.calls import jail, module, pid_of, shell
from ansible_collections.cellblock.jails.tests.integration.support.terminals import on_terminal

_SPIN = "(while :; do :; done) </dev/null >/dev/null 2>&1 &"
_CLIENT = """
import socket, sys, time
for left in range(400, -1, -1):
    try:
        connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
        break
    except OSError:
        if not left:
            raise
        time.sleep(0.05)
connection.sendall(bytes(30000))
got = 0
while got < 20000:
    part = connection.recv(65536)
    assert part, got
    got += len(part)
"""
_KEYS = {
    "cpu_seconds", "throttled_seconds", "throttled_periods", "memory", "memory_max", "swap", "oom_kills", "pids",
    "pids_max", "io", "network", "pressure",
}  # fmt: skip
_OF_ITS_START = {"status", "pid", "started_at", "uptime"}


def _use(name: str) -> dict[str, Any]:
    found = module("jail_info", name=[name], gather=["usage"])["jails"][name]["usage"]
    assert isinstance(found, dict)
    return found


def _stat(*words: str) -> dict[str, Any]:
    done = jail("stat", "--json", *words)
    assert done.returncode == 0, done
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def _samples(text: str) -> dict[tuple[str, str, str], float]:
    """By the parser of those who made the format: value by sample, jail and the other label."""
    found = {}
    for family in openmetrics.text_string_to_metric_families(text):
        for sample in family.samples:
            others = {label: value for label, value in sample.labels.items() if label != "jail"}
            found[(sample.name, sample.labels["jail"], "".join(others.values()))] = sample.value
    return found


def test_cpu_time_is_what_was_spun(box: str) -> None:
    """Of a jail that does nothing next to none; of one that spins what its process had, by another counter."""
    before = _use(box)["cpu_seconds"]
    time.sleep(1)
    idle = _use(box)["cpu_seconds"] - before
    assert idle < 0.1
    jail("exec", box, "--", "sh", "-c", _SPIN)
    (spinner,) = set(live.group_of(box).processes()) - {pid_of(box)}
    schedstat = Path(f"/proc/{spinner}/schedstat")
    own = 0.0
    while own < 0.5:
        time.sleep(0.1)
        own = int(schedstat.read_text(encoding="ascii").split()[0]) / 1e9
    spun = _use(box)["cpu_seconds"] - before
    assert own <= spun + 0.02
    assert spun > idle + 0.4


def test_a_quota_throttles_and_is_counted(box: str) -> None:
    """Without a quota a spinner is never held back; with one it is, for most of the time."""
    jail("exec", box, "--", "sh", "-c", _SPIN)
    time.sleep(0.5)
    assert _use(box)["throttled_periods"] == 0
    module("jail_limits", name=box, cpus="0.1")
    deadline = time.monotonic() + 20
    while _use(box)["throttled_seconds"] < 0.2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert _use(box)["throttled_periods"] > 0


def test_memory_and_kills_are_counted(box: str) -> None:
    """What a tmpfs file takes is there and gone; a process that memory is too short for is one kill more."""
    before = _use(box)
    shell(box, "head -c 20000000 /dev/zero > /dev/shm/file")
    assert 19_000_000 < _use(box)["memory"] - before["memory"] < 30_000_000
    shell(box, "rm /dev/shm/file")
    assert _use(box)["memory"] - before["memory"] < 5_000_000
    assert before["oom_kills"] == 0
    module("jail_limits", name=box, memory_max="16M")
    jail("exec", box, "--", "sh", "-c", "head -c 40000000 /dev/zero | tail -c 40000000 | wc -c")
    after = _use(box)
    assert after["oom_kills"] >= 1
    assert after["memory_max"] == 16 << 20


def test_processes_are_counted(box: str) -> None:
    """Five more are five more, and the limit is told."""
    before = _use(box)
    shell(box, "for number in 1 2 3 4 5; do sleep 99999 </dev/null >/dev/null 2>&1 & done")
    after = _use(box)
    assert (after["pids"] - before["pids"], after["processes"] - before["processes"]) == (5, 5)
    assert after["pids_max"] == 4096


def test_what_is_written_to_a_disk_is_counted(box: str) -> None:
    """Eight MiB that are waited for; where the storage is on a disk that the kernel counts for groups."""
    before = _use(box)["io"]
    if before is None:
        shell(box, "dd if=/dev/zero of=/root/file bs=1M count=8 conv=fsync")
        before = dict.fromkeys(("written_bytes", "writes"), 0)
    else:
        shell(box, "dd if=/dev/zero of=/root/file bs=1M count=8 conv=fsync")
    after = _use(box)["io"]
    if after is None or after["written_bytes"] == before["written_bytes"]:
        pytest.skip("the storage is on no disk for which the kernel counts by control group")
    assert after["written_bytes"] - before["written_bytes"] >= 8 << 20
    assert after["writes"] > before["writes"]


def _exchange(name: str, address: str, port: int, words: list[str]) -> None:
    """Have a server in a jail send 20000 bytes to who comes and take what that sends, which is 30000."""
    serve = f"head -c 20000 /dev/zero | nc -l -p {port} >/dev/null 2>&1"
    jail("exec", name, "--", "sh", "-c", f"({serve}) </dev/null >/dev/null 2>&1 &")
    subprocess.run([*words, sys.executable, "-c", _CLIENT, address, str(port)], check=True, timeout=60)


def test_what_comes_over_the_network_is_counted(name: str) -> None:
    """What a client on the host sends and is sent; nothing of what goes over the jail's own loopback."""
    module("jail_rootfs", name=name, method="skeleton", binaries=["busybox"])
    interface = {"name": "eth0", "bridge": "br-stat", "addresses": ["10.99.7.2/24"], "gateway": "10.99.7.1"}
    module("jail_net", name=name, interfaces=[interface])
    module("jail_state", name=[name], command=["sleep", "100000"], state="started")
    before = _use(name)["network"]
    _exchange(name, "127.0.0.1", 7001, ["nsenter", f"--net=/proc/{pid_of(name)}/ns/net"])
    own = _use(name)["network"]
    assert own["sent_bytes"] - before["sent_bytes"] < 5000
    assert own["received_bytes"] - before["received_bytes"] < 5000
    _exchange(name, "10.99.7.2", 7002, [])
    after = _use(name)["network"]
    assert 20_000 < after["sent_bytes"] - own["sent_bytes"] < 40_000
    assert 30_000 < after["received_bytes"] - own["received_bytes"] < 50_000
    assert after["received_packets"] > own["received_packets"]


def test_json_has_all_of_every_jail_that_runs(names: Any) -> None:
    """Each key of it, in the shape that is documented; a jail that does not run is not in it, and refused by name."""
    first, second, stopped = names(3)
    make_boxes([first, second, stopped])
    module("jail_state", name=[stopped], state="stopped")
    jail("freeze", second)
    found = _stat()
    assert {first, second} <= set(found)
    assert stopped not in found
    assert set(found[first]) == _KEYS | _OF_ITS_START
    assert (found[first]["status"], found[second]["status"]) == ("started", "frozen")
    assert found[first]["pid"] == pid_of(first)
    if live.hierarchies().version == 2:
        assert set(found[first]["pressure"]) == {"cpu", "memory", "io"}
    else:
        assert found[first]["pressure"] is None
    assert set(_stat(second)) == {second}
    done = jail("stat", "--json", stopped)
    assert (done.returncode, done.stdout) == (125, b"")
    assert f"{stopped}: it does not run".encode() in done.stderr


def test_metrics_are_what_a_parser_of_openmetrics_takes(names: Any) -> None:
    """Types, units, labels and the end are in order, and the values are those of JSON."""
    given = names(2)
    make_boxes(given)
    module(
        "jail_limits", jails=[{"name": given[0], "memory_max": "32M"}, {"name": given[1], "memory_max": "unlimited"}]
    )
    jail("freeze", given[1])
    done = jail("stat", "--openmetrics", *given)
    text = done.stdout.decode()
    assert text.endswith("\n# EOF\n")
    samples = _samples(text)
    assert samples[("jail_memory_limit_bytes", given[0], "")] == 32 << 20
    assert samples[("jail_memory_limit_bytes", given[1], "")] == float("inf")
    assert samples[("jail_pids_limit", given[0], "")] == 4096
    assert samples[("jail_frozen", given[0], "")] == 0
    assert samples[("jail_frozen", given[1], "")] == 1
    json_found = _stat(given[1])[given[1]]
    assert samples[("jail_cpu_seconds_total", given[1], "")] == pytest.approx(json_found["cpu_seconds"], abs=0.05)
    assert samples[("jail_network_bytes_total", given[1], "receive")] == json_found["network"]["received_bytes"]
    families = {family.name: family for family in openmetrics.text_string_to_metric_families(text)}
    assert (families["jail_cpu_seconds"].type, families["jail_cpu_seconds"].unit) == ("counter", "seconds")
    assert (families["jail_memory_bytes"].type, families["jail_memory_bytes"].unit) == ("gauge", "bytes")
    # node_exporter's textfile collector reads the older format, of which this has to be some too.
    older = [sample.name for family in text_string_to_metric_families(text) for sample in family.samples]
    assert sorted(older) == sorted(name for name, _jail, _label in samples)


def test_a_file_of_metrics_is_replaced_at_once(box: str, tmp_path: Path) -> None:
    """Whoever reads meanwhile has the old or the new one, whole, and may read it; no other file is left."""
    file = tmp_path / "jails.prom"
    file.write_text("old", encoding="ascii")
    with open(file, encoding="ascii") as held:
        done = jail("stat", "--openmetrics", "--output", str(file), box)
        assert (done.returncode, done.stdout) == (0, b"")
        assert held.read() == "old"
    assert ("jail_pids", box, "") in _samples(file.read_text(encoding="ascii"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["jails.prom"]
    done = jail("stat", "--openmetrics", "--output", str(tmp_path / "none" / "jails.prom"), box)
    assert (done.returncode, b"Traceback" in done.stderr) == (125, False)
    assert b"--json" in jail("stat", "--output", str(file), box).stderr


def test_a_host_without_a_running_jail_has_metrics_too() -> None:
    """Empty, and whole."""
    done = jail("stat", "--openmetrics", "--output", "/dev/null/x")
    assert done.returncode == 125
    from ansible_collections.cellblock.jails.plugins.module_utils import openmetrics as text
    from ansible_collections.cellblock.jails.plugins.module_utils.jail import metrics

    assert text.text(metrics.families({})) == "# EOF\n"


def _table(text: str) -> dict[str, Mapping[str, str]]:
    header, *lines = (line.split() for line in text.splitlines())
    return {line[0]: dict(zip(header, line)) for line in lines}


def test_the_table_has_what_is_now(names: Any) -> None:
    """Once, where there is no terminal: the one that spins first, with about what a CPU gives; sorted by name if so
    asked."""
    first, second = names(2)
    make_boxes([first, second])
    jail("exec", second, "--", "sh", "-c", _SPIN)
    found = _table(jail("stat", first, second).stdout.decode())
    assert list(found) == [second, first]
    assert float(found[second]["CPU%"]) > 10
    assert float(found[first]["CPU%"]) < 10
    assert found[first]["STATUS"] == "started"
    assert found[first]["OOM"] == "0"
    assert list(_table(jail("stat", "--sort", "name", "--interval", "0.1", first, second).stdout.decode())) == [
        first,
        second,
    ]


def test_the_table_on_a_terminal_lives_until_q(box: str) -> None:
    """It is drawn again and again with what is new, and leaves the terminal as it was."""
    with on_terminal("stat", "--interval", "0.2", box) as terminal:
        terminal.wait_for("started")
        jail("freeze", box)
        terminal.wait_for("frozen")
        jail("thaw", box)
        terminal.type("q")
        assert terminal.end() == 0
        assert b"\x1b[?1049h" in terminal.shown
        assert terminal.shown.rstrip().endswith(b"\x1b[?25h\x1b[?1049l")
        import termios

        assert termios.tcgetattr(terminal.slave) == terminal.before
        assert b"Traceback" not in terminal.shown


def test_the_table_on_a_terminal_ends_by_ctrl_c(box: str) -> None:
    """Likewise, without a word; and ``--once`` waits for nothing on a terminal."""
    with on_terminal("stat", box) as terminal:
        terminal.wait_for("started")
        terminal.type("\x03")
        assert terminal.end() == 0
        assert b"Traceback" not in terminal.shown
    with on_terminal("stat", "--once", "--interval", "0.1", box) as terminal:
        assert terminal.end() == 0
        assert b"\x1b" not in terminal.shown


def test_version_2_counts_cpu_and_pressure(unified: Group) -> None:
    """By the kernel's own files of a group of that version: what two processes on one CPU have, and how long one of
    them had to wait for the other. What the group has no controller for is nothing."""
    cpu = min(os.sched_getaffinity(0))
    (first,) = unified.processes()

    def spin() -> None:
        unified_procs = os.path.join(unified.directory("memory"), "cgroup.procs")
        Path(unified_procs).write_text("0", encoding="ascii")
        while True:
            pass

    second = process.fork(spin)
    try:
        while unified.processes() != sorted([first, second]):
            time.sleep(0.01)
        for pid in (first, second):
            os.sched_setaffinity(pid, {cpu})
        before, deadline = usage.of(unified), time.monotonic() + 60
        assert before.cpu is not None
        if before.pressure is None:
            pytest.skip("this kernel accounts no pressure (psi=1 on its command line)")
        after = before
        while (after.cpu or 0) - before.cpu < 500_000:
            assert time.monotonic() < deadline
            time.sleep(0.1)
            after = usage.of(unified)
        earlier, later = before.pressure["cpu"].some, (after.pressure or {})["cpu"].some
        assert earlier is not None
        assert later is not None
        assert later.total - earlier.total > 100_000
        assert (after.memory, after.tasks, after.disks) == (None, None, None)
    finally:
        os.kill(second, 9)
        process.wait(second)


def test_no_process_of_ours_stays(box: str) -> None:
    """None that has anything to do with the command is there after it."""
    jail("stat", "--json")
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if layout.COMMAND.encode() in words and b"stat" in words and b"--json" in words and box.encode() in words:
                found.append(entry)
    assert found == []
