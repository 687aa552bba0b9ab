"""What several families share: norms, weight inits, spectral norm, and the layers that look at a whole batch."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrizations

Convolution = nn.Conv2d | nn.ConvTranspose2d
Weighted = Convolution | nn.Linear
NORMS = ("batch", "instance", "layer", "none")
MAX_KERNELS = 1024


def norm2d(kind: str, channels: int) -> list[nn.Module]:
    """The norm after a convolution, as a list to unpack: empty for "none".

    Batch: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. Instance: Ulyanov et al. 2016,
    https://arxiv.org/abs/1607.08022, with scale and shift. Layer: Ba et al. 2016, https://arxiv.org/abs/1607.06450,
    over channels and pixels, which is a group norm of one group.
    """
    check_norm("a convolution", kind)
    makers: dict[str, Callable[[], list[nn.Module]]] = {
        "batch": lambda: [nn.BatchNorm2d(channels)],
        "instance": lambda: [nn.InstanceNorm2d(channels, affine=True)],
        "layer": lambda: [nn.GroupNorm(1, channels)],
        "none": list,
    }
    return makers[kind]()


def norm1d(kind: str, features: int) -> list[nn.Module]:
    """The norm after a linear layer; an instance norm has nothing to average there."""
    check_norm("a linear layer", kind, ("batch", "layer", "none"))
    makers: dict[str, Callable[[], list[nn.Module]]] = {
        "batch": lambda: [nn.BatchNorm1d(features)],
        "layer": lambda: [nn.LayerNorm(features)],
        "none": list,
    }
    return makers[kind]()


def check_norm(name: str, kind: str, known: tuple[str, ...] = NORMS) -> None:
    if kind not in known:
        raise ValueError(f"{name} needs a norm among {', '.join(known)}, got {kind!r}")


def has_bias(norm: str) -> bool:
    """Whether a convolution before that norm has a bias: batch and instance norm take away what it adds to a channel.

    Layer norm takes one mean from all channels, so there it counts.
    """
    return norm in ("layer", "none")


def dropout(rate: float) -> list[nn.Module]:
    """Srivastava et al. 2014; a list to unpack, empty for 0."""
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise ValueError(f"dropout must be a share from 0 to below 1, got {rate!r}")
    return [nn.Dropout(rate)] if rate else []


class MinibatchDiscrimination(nn.Module):
    """Features (B, F) -> (B, F + kernels): beside each sample, how close it is to the others of its batch.

    Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 3.2: every sample is projected to `kernels` rows of
    `dims` numbers, and exp(-L1 distance) to the same row of each sample of the batch (itself too) is summed.
    """

    def __init__(self, features: int, kernels: int, dims: int = 5):
        super().__init__()
        if isinstance(kernels, bool) or not isinstance(kernels, int) or not 1 <= kernels <= MAX_KERNELS:
            raise ValueError(f"minibatch discrimination needs 1 to {MAX_KERNELS} kernels, got {kernels!r}")
        self.kernels, self.dims = kernels, dims
        self.projection = nn.Linear(features, kernels * dims, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.projection(x).float().unflatten(1, (self.kernels, self.dims)).transpose(0, 1)  # (K, B, D)
        distance = torch.cdist(rows, rows, p=1.0)  # (K, B, B); it has no second derivative
        return torch.cat([x, (-distance).exp().sum(2).T.to(x.dtype)], dim=1)


class MinibatchStddev(nn.Module):
    """Maps (B, C, H, W) -> (B, C + 1, H, W), or vectors (B, F) -> (B, F + 1): the batch's spread as a further channel.

    Karras et al. 2018, https://arxiv.org/abs/1710.10196, section 3, with the whole batch as the group: the
    standard deviations of all numbers over the batch, averaged to one number.
    """

    def forward(self, x: Tensor) -> Tensor:
        spread = (x.var(0, unbiased=False) + 1e-8).sqrt().mean()
        return torch.cat([x, spread.expand(len(x), 1, *x.shape[2:])], dim=1)


def minibatch(features: int, kernels: int, stddev: bool = False) -> list[nn.Module]:
    """Vectors (B, features) -> (B, features + kernels + stddev); a list to unpack, empty for 0 and False."""
    compare = [] if kernels == 0 and type(kernels) is int else [MinibatchDiscrimination(features, kernels)]
    return [*compare, *([MinibatchStddev()] if stddev else [])]


BATCHWISE = (_BatchNorm, MinibatchDiscrimination, MinibatchStddev)  # layers through which samples see each other


def init_weights(network: nn.Module, kind: str) -> None:
    """Draw the weights of every convolution and linear layer anew, in place.

    Args:
        kind: "dcgan" (N(0, 0.02), batch norm's scale N(1, 0.02): Radford et al. 2016, section 4), "he"
            (https://arxiv.org/abs/1502.01852), "xavier" (Glorot and Bengio 2010, zero biases: Keras's default),
            "normal" (N(0, 0.02), zero biases: TensorFlow tutorials), "orthogonal" (https://arxiv.org/abs/1312.6120), or
            "default" (PyTorch's own; nothing is drawn).

    Deviation: PyTorch's "he" takes a transposed convolution's outputs for its inputs; `fan_in` here is the real one.
    """
    if kind not in INITS:
        raise ValueError(f"init must be one of {', '.join(INITS)}, got {kind!r}")
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and kind != "default":
            INITS[kind](module)
            if module.bias is not None and kind in ZERO_BIASES:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d) and kind == "dcgan" and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)


def fan_in(layer: Weighted) -> float:
    """How many numbers one output is a sum of; a mean where a transposed convolution's stride makes it vary."""
    if isinstance(layer, nn.ConvTranspose2d):
        return layer.in_channels * math.prod(layer.kernel_size) / math.prod(layer.stride)
    return layer.weight[0].numel()


INITS: dict[str, Callable[[Weighted], object]] = {
    "dcgan": lambda layer: nn.init.normal_(layer.weight, 0.0, 0.02),
    "he": lambda layer: nn.init.normal_(
        layer.weight, 0.0, nn.init.calculate_gain("leaky_relu", 0.2) / fan_in(layer) ** 0.5
    ),
    "xavier": lambda layer: nn.init.xavier_uniform_(layer.weight),
    "orthogonal": lambda layer: nn.init.orthogonal_(layer.weight),
    "normal": lambda layer: nn.init.normal_(layer.weight, 0.0, 0.02),
    "default": lambda layer: layer,
}
ZERO_BIASES = ("xavier", "normal")


def add_spectral_norm(network: nn.Module) -> None:
    """Divide the weight of every convolution, linear layer and embedding by its largest singular value.

    Miyato et al. 2018, https://arxiv.org/abs/1802.05957, by one power iteration a forward pass in training mode. Call
    it last: the weights are drawn before.
    """
    for module in list(network.modules()):
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.Embedding)):
            parametrizations.spectral_norm(module)


def prepare_weights(network: nn.Module, init: str, spectral_norm: bool) -> None:
    """The last act of a constructor: draw the weights, then norm them where asked."""
    init_weights(network, init)
    if spectral_norm:
        add_spectral_norm(network)
