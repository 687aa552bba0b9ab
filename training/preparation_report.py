"""What `python -m training prepare` accepted, what it rejected and why, and the way out when that was nearly all."""

import dataclasses
import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.command_line import words
from training.sources import data_name

if TYPE_CHECKING:
    from training.prepare import Prepare

UNREADABLE = "unreadable"
DUPLICATE = "the same as an earlier one"
NO_CLASS = "without a class"
FEW = 0.25  # of the pictures; accepting less than this is said before anything else
EXAMPLES = 5


@dataclass
class Report:
    options: "Prepare"
    accepted: int = 0
    enlarged: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    """Accepted pictures of each class."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Rejected pictures for each reason."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """The first names for each reason."""

    def accept(self, label: str | None, enlarged: bool) -> None:
        self.accepted += 1
        self.enlarged += enlarged
        if label is not None:
            self.classes[label] += 1

    def reject(self, reason: str, name: str) -> None:
        self.rejected[reason] += 1
        names = self.examples.setdefault(reason, [])
        if len(names) < EXAMPLES:
            names.append(name)

    @property
    def pictures(self) -> int:
        return self.accepted + self.rejected.total()

    @property
    def few(self) -> bool:
        return self.accepted < FEW * self.pictures

    def finding(self) -> str:
        """How few were accepted, and the main reason."""
        reason, count = self.rejected.most_common(1)[0]
        found = f"only {self.accepted:,} of" if self.accepted else "none of the"
        share = f" ({self.accepted / self.pictures:.1%})" if self.accepted else ""
        return f"{found} {self.pictures:,} pictures{share} accepted; {count:,} rejected: {reason}"

    def advice(self) -> str:
        """The way out of the main reason."""
        reason = self.rejected.most_common(1)[0][0]
        if reason == UNREADABLE:
            return f"look at {self.examples[reason][0]}"
        if reason == NO_CLASS:
            return "name another --label-column"
        if reason == DUPLICATE:
            return "keep them with --keep-duplicates"
        if reason.startswith("smaller"):
            return "lower --min-size"
        detector = "none" if self.options.detector == "saliency" else "saliency"
        changes: dict[str, Any] = {"detector": detector, "force": self.accepted > 0 or self.options.force}
        return f"try instead: {command(dataclasses.replace(self.options, **changes))}"

    def summary(self) -> dict[str, Any]:
        """For report.json: numbers, names and options, without the paths of this machine."""
        options = dataclasses.asdict(self.options)
        for name in ("source", "out", "force", "workers"):
            del options[name]
        if options["detector"].startswith("cascade:"):
            options["detector"] = f"cascade:{Path(options['detector']).name}"
        reasons = {
            reason: {"count": count, "first": self.examples[reason]} for reason, count in self.rejected.most_common()
        }
        return {
            **({"warning": self.finding()} if self.few else {}),
            "source": data_name(self.options.source),
            "pictures": self.pictures,
            "accepted": self.accepted,
            "enlarged": self.enlarged,
            "classes": dict(self.classes),
            "rejected": reasons,
            "options": options,
        }

    def text(self) -> str:
        """For the terminal; when few were accepted its first line says so."""
        options = self.options
        lines = [f"WARNING: {self.finding()}; {self.advice()}"] if self.few else []
        lines.append(f"{self.pictures:,} pictures: {self.accepted:,} accepted, {self.rejected.total():,} rejected")
        for reason, count in self.rejected.most_common():
            more = ", ..." if count > EXAMPLES else ""
            lines.append(f"  rejected {count:,}, {reason}: {', '.join(self.examples[reason])}{more}")
        if self.enlarged:
            lines.append(f"  enlarged {self.enlarged:,}, their crops being smaller than {options.resolution} pixels")
        lines.append(
            f"{options.out}: written. Train on it with: python -m training train PRESET --data "
            f"{shlex.quote(str(options.out))} --resolution {options.resolution} --channels {options.channels}"
        )
        return "\n".join(lines)


def command(options: "Prepare") -> str:
    """What to type for these options."""
    start = ["python", "-m", "training", "prepare", options.source]
    return shlex.join([*start, *words(options, type(options), leave_out=("source",))])
