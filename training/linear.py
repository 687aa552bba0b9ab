"""What linear fits need: multinomial logistic regression by L-BFGS, for more rows than fit into memory at once, and the
means of classes, for fits within them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RIDGES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
TRIED = 10_000  # rows on which the ridge is chosen
STEPS = 100  # of L-BFGS
CHUNK = 512  # rows that are in memory at once; more are slower, as they leave the cache


def standard(features: Tensor) -> tuple[Tensor, Tensor]:
    """What to take off features (N, F), and what to multiply with then, for rows of length 1 or so."""
    std, mean = torch.std_mean(features.double(), 0)
    scale = torch.where(std > 1e-6 * std.max(), 1 / (std * features.shape[1] ** 0.5), 0.0)  # silent ones stay so
    return mean.float(), scale.float()


def choose(rows: Tensor, labels: Tensor, num_classes: int) -> tuple[nn.Linear, float]:
    """A classifier for rows (N, F) in random order and labels (N,), and its ridge.

    Which ridge is found on the first 10,000 rows: the best on a fifth of them when fitted on the others.
    """
    linear = nn.Linear(rows.shape[1], num_classes).to(labels.device)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    count = min(len(rows), TRIED)
    rest = count - max(1, count // 5)
    best, ridge, kept = -1, RIDGES[0], linear.state_dict()
    for tried in RIDGES:  # from stiff to free, each from where the last one came to
        fit(linear, rows[:rest], labels[:rest], tried)
        found = right(linear, rows[rest:count], labels[rest:count])
        if found < best:
            break
        best, ridge, kept = found, tried, {name: value.clone() for name, value in linear.state_dict().items()}
    linear.load_state_dict(kept)
    fit(linear, rows, labels, ridge)
    return linear, ridge


def fit(linear: nn.Linear, rows: Tensor, labels: Tensor, ridge: float) -> None:
    """Multinomial logistic regression from where the classifier stands: mean cross-entropy + ridge / 2 |weight|^2."""
    optimizer = torch.optim.LBFGS(linear.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = ridge / 2 * linear.weight.square().sum()
        total.backward()
        for x, y in zip(rows.split(CHUNK), labels.split(CHUNK)):
            loss = F.cross_entropy(linear(x.to(y.device).float()), y, reduction="sum") / len(labels)
            loss.backward()
            total = total.detach() + loss.detach()
        return total

    optimizer.step(closure)


@torch.inference_mode()
def right(linear: nn.Linear, rows: Tensor, labels: Tensor) -> int:
    parts = zip(rows.split(CHUNK), labels.split(CHUNK))
    return sum(int((linear(x.to(y.device).float()).argmax(1) == y).sum()) for x, y in parts)


def class_means(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The mean (classes, F) of the float64 values (N, F) of each class; 0 for a class without any."""
    members = F.one_hot(labels, classes).to(values.dtype)
    return members.T @ values / members.sum(0).clamp(min=1)[:, None]
