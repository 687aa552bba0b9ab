"""What the processor and its C library do for training, and what they cost it."""

import ctypes
import platform

# Of <malloc.h>, with what they are set to.
PARAMETERS = {
    -4: 0,  # M_MMAP_MAX: no block has a mapping of its own, which the kernel takes back at once
    -1: -1,  # M_TRIM_THRESHOLD: the heap never shrinks
    -2: 2**28,  # M_TOP_PAD: bytes asked for beyond what is needed
}


def keep_freed_memory() -> bool:
    """Let glibc reuse large blocks instead of returning each to the kernel, for as long as this process lives.

    A tensor beyond 32 MiB is otherwise new to the process every time, and the kernel clears it page by page: up to a
    quarter of a step's time on a CPU (benchmarks.md). Other C libraries are left as they are.

    Returns:
        Whether glibc took all settings.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) for parameter, value in PARAMETERS.items())


def knows_bf16() -> bool:
    """Whether this CPU multiplies in bf16, on x86 or Arm; taken for granted where torch is too old to tell."""
    import torch

    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {"bf16": True}
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
