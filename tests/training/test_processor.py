import platform
import subprocess
import sys

import pytest

from training.processor import knows_bf16

PAGE_FAULTS = """
import resource
import sys

import torch

from training.processor import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


for i in range(40):
    torch.zeros(2**24)  # 64 MiB
    if i == 29:  # by now the heap has found its place
        before = faults()
print(faults() - before)
"""


def page_faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_memory_freed_by_a_step_serves_the_next() -> None:
    usual = page_faults("as it is")
    if not usual:
        pytest.skip("page faults are not counted here")
    assert page_faults("kept") < usual / 10


def test_bf16_is_taken_for_granted_by_a_torch_that_cant_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert knows_bf16()


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from training import processor

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(processor.ctypes, "CDLL", lambda name: pytest.fail("asked for the C library"))
    assert not processor.keep_freed_memory()
