import os
from pathlib import Path

import pytest

from services.common.cpu import available_cores, computes_in_bf16, instructions


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("200001 100000", 3),
        ("150000 100000", 2),
        ("75000 25000", 3),
        ("50000 100000", 1),
        ("0 100000", 1),
        ("6400000 100000", 8),
    ],
)
def test_cgroup_v2(tmp_path: Path, limit: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert available_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("0", 1), ("50000", 1), ("125000", 3)])
def test_cgroup_v1(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu").mkdir()
    assert available_cores(tmp_path) == 8, "a folder without a quota"
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("50000\n")
    assert available_cores(tmp_path) == cores


def test_cgroup_v2_goes_before_v1(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu.max").write_text("300000 100000\n")
    assert available_cores(tmp_path) == 3


def test_without_a_cgroup_the_affinity_counts(tmp_path: Path) -> None:
    assert available_cores(tmp_path) == 8


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t\t: fpu avx512_bf16 avx2", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("flags\t\t: avx512_bf16 cpuid:1", True),
        ("flags\t\t: fpu avx2 avx512_bf16x amx_tile", False),
        ("Features\t: fp asimd bf16", True),
        ("Features\t: fp asimd", False),
        ("vmx flags\t: avx512_bf16", False),
    ],
)
def test_bf16_is_read_from_the_processors_flags(tmp_path: Path, line: str, *, has: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: bf16: the best\n{line}\nbugs\t\t: bf16\n")
    assert computes_in_bf16(cpuinfo) is has


def test_instructions_are_those_of_the_first_processor(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nflags\t\t: fpu amx_tile\n")
    assert instructions(cpuinfo) == {"fpu", "avx2"}
    cpuinfo.write_text("processor\t: 0\n")
    assert instructions(cpuinfo) == frozenset()


def test_an_unknown_processor_has_no_bf16(tmp_path: Path) -> None:
    assert not computes_in_bf16(tmp_path / "none")
