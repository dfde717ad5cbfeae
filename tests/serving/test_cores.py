"""The cores that were given, not those that are there."""

import os

import pytest

from serving import cores as module
from serving.cores import cores

V2, V1_QUOTA, V1_PERIOD = "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def machine(root, own="", **files):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    (root / "sys/fs/cgroup").mkdir(parents=True)
    for path, content in files.items():
        file = root / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


def test_without_a_quota_it_is_the_affinity(tmp_path):
    assert cores(machine(tmp_path)) == 8
    assert cores(tmp_path / "nowhere") == 8


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("9000000 100000", 8),
        ("", 8),
        ("x y", 8),
        ("100000 0", 8),
    ],
)
def test_a_quota_of_the_second_version_is_rounded_up_to_whole_cores(tmp_path, quota, expected):
    assert cores(machine(tmp_path, "0::/\n", **{V2: quota})) == expected


def test_the_tightest_group_around_the_process_counts(tmp_path):
    files = {"pod/app/cpu.max": "max 100000", "pod/cpu.max": "300000 100000", "cpu.max": "max 100000"}
    assert cores(machine(tmp_path, "0::/pod/app\n", **files)) == 3


def test_inside_a_container_the_mounted_root_is_its_own_group(tmp_path):
    assert cores(machine(tmp_path, "0::/host/path/of/it\n", **{V2: "400000 100000"})) == 4


@pytest.mark.parametrize("line", ["4:cpu,cpuacct:/docker/1\n", "4:cpu:/docker/1\n"])
def test_a_quota_of_the_first_version_counts(tmp_path, line):
    files = {f"cpu/{V1_QUOTA}": "200000", f"cpu/{V1_PERIOD}": "100000"}
    assert cores(machine(tmp_path, line, **files)) == 2


def test_no_limit_in_the_first_version_is_minus_one(tmp_path):
    files = {f"cpu/{V1_QUOTA}": "-1", f"cpu/{V1_PERIOD}": "100000"}
    assert cores(machine(tmp_path, "4:cpu:/\n", **files)) == 8


def test_where_there_is_no_affinity_the_cores_of_the_machine_count(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert module.cores(machine(tmp_path)) == 5
