"""The card of an extractor: README.md of the folder that `python -m training extractor` writes."""

import shlex
from pathlib import Path
from typing import Any

from ganhub.hub import ZOO
from training.command_line import words
from training.extractors import Extractor
from training.featurenet import FeatureNet

ELSEWHERE = ("data", "out", "license", "terms", "device")  # of the options, what the card says in other words


def command(options: Extractor, data: str) -> str:
    """The command that trains it again."""
    start = ["python", "-m", "training", "extractor", "--data", data, "--out", "FOLDER"]
    return shlex.join([*start, *words(options, Extractor, leave_out=ELSEWHERE)])


def usage(options: Extractor, folder: Path) -> str:
    """Python that runs as it stands, once FOLDER is put in; a network of the zoo is found by itself."""
    zoo, name = "", '"FOLDER"'
    if folder.parent == ZOO.resolve():
        zoo, name = "from ganhub.hub import ZOO\n", f'ZOO / "{folder.name}"'
    shape = f"{options.channels}, {options.resolution}, {options.resolution}"
    return f"""```python
import torch

{zoo}from training.featurenet import FeatureNet

network = FeatureNet.from_pretrained({name})
logits = network(torch.zeros(1, {shape}))  # images (B, {options.channels}, R, R) in [-1, 1]
```"""


def card(options: Extractor, network: FeatureNet, metrics: dict[str, Any]) -> str:
    """README.md: what it is, what it learnt from, how well it does on what it never saw."""
    test, train = metrics["test"], metrics["train"]
    classes = ", ".join(network.class_names)
    task = (
        f"tells {len(network.class_names)} classes apart ({classes})" if classes else "learnt by SimCLR, without labels"
    )
    key = "accuracy" if classes else "retrieval_accuracy"
    found = f"{metrics[key]:.2%} " + ("accuracy" if classes else f"retrieval among {metrics['retrieval_among']} images")
    weights = sum(value.numel() for value in network.parameters())
    versions = metrics["versions"]
    used = f"ganhub {versions['ganhub']}, torch {versions['torch']}, Python {versions['python']}"
    folder = options.out.resolve()
    colour = "grey" if options.channels == 1 else "RGB"
    return f"""---
license: {options.license}
library_name: ganhub
tags: [feature-extraction, image-classification]
---

# {folder.name}

A small residual network for {options.resolution}x{options.resolution} {colour} pictures; it {task}. Made to measure
generated pictures: its {options.feature_dim} pooled activations are the features that FID, KID, precision and recall
are computed on. Such numbers compare models that were measured alike, never with published FIDs.

**{found}** on {test["count"]:,} pictures of {test["data"]} ({test["split"]}) that training never saw; the last epoch
was taken, nothing was chosen by these pictures.

Learnt from {train["count"]:,} pictures of {test["data"]} (split {train["split"]}); seed {metrics["seed"]}; {weights:,}
weights; {used}.

```
{command(options, test["data"])}
```

`--data` is a folder that holds this data set, or its Hub id.

{usage(options, folder)}

Limits: it knows pictures like those above and nothing else; it answers with one of its classes whatever it is shown.

Terms of the data: {options.terms}. Licence of the weights: {options.license}.
"""
