"""Training curves for a model's card: the log of a run as one small PNG.

The same log gives the same bytes, on the same matplotlib.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Log = list[dict[str, float]]

# title -> the logged numbers that it shows; what a log has besides gets panels of its own
PANELS: dict[str, tuple[str, ...]] = {
    "losses": ("d_loss", "g_loss"),
    "accuracy of D": ("d_accuracy",),
    "logits of D": ("real_logit", "fake_logit"),
}
NAMES = {"d_loss": "D", "g_loss": "G", "d_accuracy": "D", "real_logit": "real", "fake_logit": "generated"}
LEFT_OUT = ("kimg", "images_per_second", "d_loss_real", "d_loss_fake")  # speed is the machine's; the others are in D's
COLOURS = ("#3366cc", "#dc6b19", "#2a9d5c", "#a03a8c")
WINDOW = 0.04  # share of the run that a smoothed line averages over
WIDTH, HEIGHT, DPI = 3.6, 2.5, 100  # of a panel, in inches
MAX_POINTS = 1000
COLUMNS = 3


def draw(log: Log, file: Path) -> None:
    """Write the curves of `log`, the lines of a run's log.jsonl, to `file`; nothing when there are no lines.

    Raises:
        OSError: the file can't be written.
    """
    if not log:
        return
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    panels = split(log)
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis, (title, names) in zip(axes, panels.items()):
        panel(axis, title, names, log)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    figure.savefig(file, format="png", metadata={"Software": None})


def split(log: Log) -> dict[str, tuple[str, ...]]:
    """The panels of this log: title -> names of what it shows."""
    logged = dict.fromkeys(name for line in log for name in line if name not in LEFT_OUT)
    known = {title: tuple(name for name in names if name in logged) for title, names in PANELS.items()}
    placed = {name for names in known.values() for name in names}
    others = {name.replace("_", " "): (name,) for name in logged if name not in placed}
    return {title: names for title, names in {**known, **others}.items() if names}


def panel(axis: "Axes", title: str, names: tuple[str, ...], log: Log) -> None:
    """Every number as it was logged, faint, and smoothed over a little of the run."""
    for name, colour in zip(names, COLOURS):
        lines = [line for line in log if name in line]
        x, y = [line["kimg"] for line in lines], [line[name] for line in lines]
        step = -(-len(x) // MAX_POINTS)
        alone = len(x) == 1
        axis.plot(x[::step], y[::step], color=colour, alpha=0.25, linewidth=0.8, marker="o" if alone else None)
        smooth = smoothed(y)
        axis.plot(x[::step], smooth[::step], color=colour, linewidth=1.4, label=NAMES.get(name, name))
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("thousand images", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    if title == "accuracy of D":
        axis.set_ylim(0.0, 1.02)
        axis.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
    if len(names) > 1:
        axis.legend(fontsize=8, frameon=False)


def smoothed(values: list[float]) -> list[float]:
    """The mean of each value and its neighbours on both sides, fewer at the ends."""
    side = int(len(values) * WINDOW / 2)
    windows = (values[max(0, i - side) : i + side + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]
