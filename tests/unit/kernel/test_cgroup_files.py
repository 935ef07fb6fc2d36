# Copyright: (c) 2026, cellblock.jails contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of control groups' files, of version 2 and version 1."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup import figures, hierarchies
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.group import Group
from ansible_collections.cellblock.jails.plugins.module_utils.kernel.cgroup.tree import Tree


def _group(root: Path, version: int) -> Group:
    """A group whose files are plain ones, with what a kernel of that version writes into them."""
    roots = {controller: str(root if version == 2 else root / controller) for controller in hierarchies.CONTROLLERS}
    for directory in {*roots.values()}:
        os.makedirs(os.path.join(directory, "jails", "x"))
    return Tree(version, roots).group("jails", "x")


@pytest.mark.parametrize(
    ("version", "file", "text", "figure", "value"),
    [
        (2, "memory.max", "max\n", "memory_max", None),
        (2, "memory.max", "268435456\n", "memory_max", 1 << 28),
        (2, "cpu.max", "max 100000\n", "cpu_quota", None),
        (2, "cpu.max", "50000 100000\n", "cpu_quota", 50_000),
        (2, "cpu.max", "5000 10000\n", "cpu_quota", 50_000),
        (2, "pids.max", "max\n", "pids_max", None),
        (2, "pids.max", "7\n", "pids_max", 7),
        (2, "memory.current", "4096\n", "memory_used", 4096),
        (2, "pids.current", "3\n", "pids_used", 3),
        (2, "cpu.stat", "usage_usec 1234567\nuser_usec 1\nsystem_usec 2\n", "cpu_used", 1_234_567),
        (1, "memory/memory.limit_in_bytes", "9223372036854771712\n", "memory_max", None),
        (1, "memory/memory.limit_in_bytes", "268435456\n", "memory_max", 1 << 28),
        (1, "cpu/cpu.cfs_quota_us", "-1\n", "cpu_quota", None),
        (1, "cpu/cpu.cfs_quota_us", "50000\n", "cpu_quota", 50_000),
        (1, "pids/pids.max", "max\n", "pids_max", None),
        (1, "pids/pids.max", "7\n", "pids_max", 7),
        (1, "memory/memory.usage_in_bytes", "4096\n", "memory_used", 4096),
        (1, "cpuacct/cpuacct.usage", "1234567890\n", "cpu_used", 1_234_567),
    ],
)
def test_what_the_kernel_says_is_read(
    tmp_path: Path, version: int, file: str, text: str, figure: str, value: int | None
) -> None:
    """Each file of either version becomes the same figure in the same unit."""
    group = _group(tmp_path, version)
    folder, name = os.path.split(file)
    (tmp_path / folder / "jails" / "x" / name).write_text(text, encoding="ascii")
    assert group.get(figure) == value


@pytest.mark.parametrize(
    ("version", "figure", "value", "file", "text"),
    [
        (2, "memory_max", None, "memory.max", "max"),
        (2, "memory_max", 1 << 28, "memory.max", "268435456"),
        (2, "cpu_quota", None, "cpu.max", "max 100000"),
        (2, "cpu_quota", 50_000, "cpu.max", "50000 100000"),
        (2, "pids_max", None, "pids.max", "max"),
        (1, "memory_max", None, "memory/memory.limit_in_bytes", "-1"),
        (1, "memory_max", 1 << 28, "memory/memory.limit_in_bytes", "268435456"),
        (1, "cpu_quota", None, "cpu/cpu.cfs_quota_us", "-1"),
        (1, "cpu_quota", 50_000, "cpu/cpu.cfs_quota_us", "50000"),
        (1, "pids_max", None, "pids/pids.max", "max"),
        (1, "pids_max", 7, "pids/pids.max", "7"),
    ],
)
def test_what_is_written_is_what_the_kernel_takes(
    tmp_path: Path, version: int, figure: str, value: int | None, file: str, text: str
) -> None:
    """Each limit becomes the text of that version's file, in one write."""
    group = _group(tmp_path, version)
    folder, name = os.path.split(file)
    path = tmp_path / folder / "jails" / "x" / name
    path.touch()
    (tmp_path / ("" if version == 2 else "memory") / "jails" / "x" / "memory.current").write_text("0", encoding="ascii")
    group.set(figure, value)
    assert path.read_text(encoding="ascii") == text


@given(st.one_of(st.none(), st.integers(1000, 1 << 40)), st.sampled_from([figures.V2, figures.V1]))
def test_a_quota_comes_back(value: int | None, files: dict[str, figures.File]) -> None:
    """What is written is read back as the same."""
    file = files["cpu_quota"]
    assert file.parse(file.format(value)) == value


def test_limits_of_disks_on_version_2(tmp_path: Path) -> None:
    """Rates on one line for each disk, latencies in a file of their own; what is unlimited is no limit."""
    group = _group(tmp_path, 2)
    place = tmp_path / "jails" / "x"
    (place / "io.max").write_text(
        "8:16 rbps=5 wbps=6 riops=7 wiops=8\n8:0 rbps=1048576 wbps=max riops=max wiops=max\n", encoding="ascii"
    )
    (place / "io.latency").write_text("8:0 target=10000\n9:0 target=5\n", encoding="ascii")
    assert group.disks() == {
        "8:16": {"rbps": 5, "wbps": 6, "riops": 7, "wiops": 8},
        "8:0": {"rbps": 1 << 20, "latency": 10_000},
        "9:0": {"latency": 5},
    }
    for file in ("io.max", "io.latency"):
        (place / file).write_text("", encoding="ascii")
    group.limit_disk("8:0", {"rbps": None, "wiops": 100})
    assert (place / "io.max").read_text(encoding="ascii") == "8:0 rbps=max wiops=100"
    assert not (place / "io.latency").read_text(encoding="ascii")
    group.limit_disk("8:0", {"latency": None})
    assert (place / "io.latency").read_text(encoding="ascii") == "8:0 target=max"


def test_limits_of_disks_on_version_1(tmp_path: Path) -> None:
    """A file for each kind; 0 takes a limit away; there is none of latency."""
    group = _group(tmp_path, 1)
    place = tmp_path / "blkio" / "jails" / "x"
    files = {kind: place / f"blkio.throttle.{kind}_device" for kind in ("read_bps", "write_bps")}
    for kind in ("read_bps", "write_bps", "read_iops", "write_iops"):
        (place / f"blkio.throttle.{kind}_device").touch()
    assert group.disks() == {}
    group.limit_disk("8:0", {"rbps": 4096, "wbps": 4096, "latency": None})
    assert [file.read_text(encoding="ascii") for file in files.values()] == ["8:0 4096"] * 2
    assert group.disks() == {"8:0": {"rbps": 4096, "wbps": 4096}}
    group.limit_disk("8:0", {"rbps": None})
    assert files["read_bps"].read_text(encoding="ascii").startswith("8:0 0")
    with pytest.raises(OSError, match=r"version 1.*systemd.unified_cgroup_hierarchy=1"):
        group.limit_disk("8:0", {"latency": 5})


@given(st.integers(1, 10_000), st.sampled_from([figures.V2, figures.V1]))
def test_a_weight_comes_back(weight: int, files: dict[str, figures.File]) -> None:
    """Shares of version 1 are finer than weights."""
    file = files["cpu_weight"]
    assert file.parse(file.format(weight)) == weight


@pytest.mark.parametrize(("weight", "shares"), [(1, 10), (100, 1024), (10_000, 102_400)])
def test_shares_are_the_kernels(weight: int, shares: int) -> None:
    """As the kernel turns the weight of version 2 into shares."""
    assert figures.V1["cpu_weight"].format(weight) == str(shares)


@pytest.mark.parametrize(
    ("present", "text", "weight"),
    [("io.weight", "default 50\n8:0 70\n", 50), ("io.bfq.weight", "default 70\n", 70), ("io.bfq.weight", "70\n", 70)],
)
def test_a_weight_of_disks_stands_in_either_file(tmp_path: Path, present: str, text: str, weight: int) -> None:
    """Of ``io.cost`` or of BFQ; where neither is, what would bring one about is said."""
    group = _group(tmp_path, 2)
    path = tmp_path / "jails" / "x" / present
    with pytest.raises(OSError, match="BFQ"):
        group.get("io_weight")
    path.write_text(text, encoding="ascii")
    assert group.get("io_weight") == weight
    group.set("io_weight", 5)
    assert path.read_text(encoding="ascii").startswith("default 5")


def test_swap_on_version_1_is_what_is_beyond_memory(tmp_path: Path) -> None:
    """One file limits memory and swap together; what is said of swap stays when memory changes."""
    group = _group(tmp_path, 1)
    place = tmp_path / "memory" / "jails" / "x"
    both, memory = place / "memory.memsw.limit_in_bytes", place / "memory.limit_in_bytes"
    memory.write_text("1048576", encoding="ascii")
    both.write_text(str(1 << 62), encoding="ascii")
    assert group.get("swap_max") is None
    both.write_text("2097152", encoding="ascii")
    assert group.get("swap_max") == 1 << 20
    group.set("memory_max", 4 << 20)
    assert (memory.read_text(encoding="ascii"), both.read_text(encoding="ascii")) == (str(4 << 20), str(5 << 20))
    group.set("swap_max", 0)
    assert both.read_text(encoding="ascii") == str(4 << 20)
    group.set("swap_max", None)
    assert both.read_text(encoding="ascii") == "-1" + str(4 << 20)[2:]


def test_what_a_version_does_not_have_is_said(tmp_path: Path) -> None:
    """And how to come to the other one."""
    group = _group(tmp_path, 1)
    (tmp_path / "memory" / "jails" / "x" / "memory.limit_in_bytes").touch()
    assert group.missing("memory_max") is None
    assert "systemd.unified_cgroup_hierarchy=1" in str(group.missing("memory_min"))
    with pytest.raises(OSError, match="version 2 has it"):
        group.set("memory_min", 1)


def test_groups_of_cpuset_are_made_on_demand(tmp_path: Path) -> None:
    """To join one more hierarchy costs a start its time; where there is no group, nothing is limited."""
    tree = Tree(1, {"pids": str(tmp_path / "pids"), "cpuset": str(tmp_path / "cpuset")})
    group = tree.group("jails", "x")
    group.create()
    assert not (tmp_path / "cpuset").exists()
    assert group.processors("cpus") is None
    assert group.lacks("cpuset") is None
    assert not tree.counts("cpuset")
    assert tree.counts("pids")
    assert "'cpuset'" in str(Tree(1, {"pids": "/"}).group("jails", "x").lacks("cpuset"))


def test_a_missing_controller_is_named(tmp_path: Path) -> None:
    """A kernel without a controller: its name, those that there are, and the remedy."""
    group = Tree(2, {"pids": str(tmp_path)}).group("jails", "x")
    with pytest.raises(OSError, match=r"no cgroup controller 'memory' .it has: pids.") as caught:
        group.get("memory_max")
    assert "cgroup_enable=" in str(caught.value)


def test_version_2_keeps_limits_above_the_processes(tmp_path: Path) -> None:
    """A guest's processes are one level below its limits; controllers are switched on above, those that are not yet."""
    roots = dict.fromkeys(("memory", "cpu", "pids", "cpuacct"), str(tmp_path))
    os.makedirs(tmp_path / "jails")
    for folder, on in ((tmp_path, "cpu"), (tmp_path / "jails", "")):
        (folder / "cgroup.subtree_control").write_text(on, encoding="ascii")
    Tree(2, roots).group("jails", "x").create()
    assert (tmp_path / "jails" / "x" / "guest").is_dir()
    # Plain files keep what was written last; where "cpu" was on, memory and pids were written over it in turn.
    assert (tmp_path / "cgroup.subtree_control").read_text(encoding="ascii").startswith("+pids")
    (tmp_path / "jails" / "x" / "guest" / "cgroup.procs").touch()
    Tree(2, roots).group("jails", "x").join(4711)
    assert (tmp_path / "jails" / "x" / "guest" / "cgroup.procs").read_text(encoding="ascii") == "4711"


def test_groups_are_found_and_gone(tmp_path: Path) -> None:
    """Names below the parent, in whatever hierarchy; removing takes also what a guest made below."""
    tree = Tree(1, {"memory": str(tmp_path / "memory"), "pids": str(tmp_path / "pids")})
    one = tree.group("jails", "one")
    one.create()
    os.makedirs(tmp_path / "pids" / "jails" / "two")
    os.makedirs(tmp_path / "memory" / "jails" / "one" / "made" / "inside")
    assert tree.names("jails") == ["one", "two"]
    one.remove()
    assert not one.exists()
    assert tree.names("jails") == ["two"]
    one.remove()
    assert tree.names("nothing") == []


def test_what_a_guest_is_given_is_found_and_gone_likewise(tmp_path: Path) -> None:
    """Also where the unified hierarchy counts nothing; and without one nothing can be given."""
    tree = Tree(1, {"pids": str(tmp_path / "pids")}, str(tmp_path / "unified"))
    one = tree.group("jails", "one")
    one.create()
    assert not one.is_handed_over()
    own = tmp_path / "unified" / "jails" / "one"
    os.makedirs(own / "guest" / "system.slice")
    assert tree.names("jails") == ["one"]
    one.remove()
    assert not own.exists()
    one.remove_parent()
    assert os.listdir(tmp_path / "unified") == os.listdir(tmp_path / "pids") == []
    with pytest.raises(OSError, match="no unified cgroup hierarchy"):
        Tree(1, tree.roots).group("jails", "one").hand_over(4711, 0, 1)


def test_a_refusal_says_what_was_written(tmp_path: Path) -> None:
    """The kernel's answer comes with the value and the file."""
    group = Tree(1, {"memory": str(tmp_path)}).group("jails", "x")
    with pytest.raises(FileNotFoundError) as caught:
        group.set("memory_max", 5)
    assert "memory.limit_in_bytes" in str(caught.value.filename)
