"""Where something was measured: the processor's model, and the cores that may be used."""

import os
import pathlib
import platform

import pytest

from plasticgym.benchmarks import _cache, _machine

INTEL = "processor\t: {}\nmodel name\t: Fast(R) CPU @ 2.10GHz\nflags\t\t: fpu avx\n\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd\n"


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Lets the system tell this of its processors."""

    def tell(text):
        (tmp_path / "cpuinfo").unlink(missing_ok=True)
        if text is not None:
            (tmp_path / "cpuinfo").write_text(text)
        files = {"/proc/cpuinfo": tmp_path / "cpuinfo"}
        monkeypatch.setattr(_machine, "Path", lambda path: files.get(path, pathlib.Path(path)))

    return tell


def test_the_processor_is_named_by_its_model(told):
    told(INTEL.format(0) + INTEL.format(1))
    assert _machine.machine().processor == "Fast(R) CPU @ 2.10GHz"
    assert _machine.cpuinfo("flags", "model name") == [
        "flags\t\t: fpu avx",
        "model name\t: Fast(R) CPU @ 2.10GHz",
    ]


@pytest.mark.parametrize("text", [ARM, None])
def test_where_the_system_names_no_model_its_kind_is_told(told, text):
    told(text)
    expected = platform.processor() or platform.machine()
    assert _machine.machine().processor == expected != ""


def test_the_cache_tells_processors_apart_by_the_same_lines(told):
    names = []
    for text in (INTEL.format(0), INTEL.format(0) * 2, ARM, None):
        told(text)
        names.append(_cache._processor())
    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 8}, raising=False)
    assert _machine.machine().cores == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert _machine.machine().cores == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert _machine.machine().cores == 1
