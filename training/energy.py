"""What computed a run, and the power to reckon its energy with: for the card's estimate, never a measurement.

A processor counts by its cores in use at an assumed power. A graphics card counts at its rated board power, which is
what it may draw at most; one that isn't listed is left out, and so is the estimate.
"""

import re
from dataclasses import dataclass

CORE_WATTS = 10.0  # server processors are rated at 4 to 8 W a core, desktop ones at 8 to 20
CPU = re.compile(r"\d+ CPU cores \((\d+) used\)")
SAME = r"(?! (?:Ti|SUPER|Laptop|Mobile|D\b))"  # an RTX 4070 Ti is no RTX 4070
# part of the device's name -> rated board power in W, by its maker's data sheet; the first that fits counts
BOARD_WATTS: dict[str, float] = {
    "H200": 700,
    "H100 PCIe": 350,
    "H100 NVL": 400,
    "H100": 700,
    "A100-PCIE": 250,
    "A100 80GB PCIe": 300,
    "A100": 400,
    "V100-PCIE": 250,
    "V100": 300,
    "P100": 250,
    "L40S": 350,
    "A10G": 300,
    "L4": 72,
    "T4": 70,
    "RTX 5090": 575,
    "RTX 4090": 450,
    "RTX 4080": 320,
    "RTX 4070": 200,
    "RTX 3090": 350,
    "RTX 3080": 320,
    "RTX 3060": 170,
}


@dataclass(frozen=True)
class Power:
    """`units` of `unit`, at `watts` each; 0 where that isn't known."""

    unit: str
    units: int
    watts: float
    watts_source: str


def power(hardware: str, processes: int = 1) -> Power:
    """What a run used.

    Args:
        hardware: as `training.checkpoint.environment` calls it.
        processes: how many trained together, each on such hardware.
    """
    if found := CPU.fullmatch(hardware):
        return Power("CPU core", int(found[1]) * processes, CORE_WATTS, "assumed for a busy core")
    watts = next((watts for name, watts in BOARD_WATTS.items() if re.search(rf"\b{name}\b{SAME}", hardware)), 0.0)
    return Power("GPU", processes, watts, f"rated board power of {hardware}" if watts else "")
