"""Foreign DCGAN weights -> this project's networks: by the order of the layers and their shapes, whatever their names.

Known to fit: PyTorch's own tutorial and examples/dcgan (`main.0.weight`, ...), HugGAN's DCGAN (`model.0.weight`, ...),
and all that are built alike at other sizes. Transposed convolutions (a 4x4 stem, then a doubling at each layer) with
batch norm behind all of them but the last, or without any norm; the discriminator mirrored.

Weights don't show everything. Assumed: stride 2 and paddings that double or halve exactly; ReLU and a tanh at the end
in G, LeakyReLU(0.2) in D (a sigmoid at its end is left out); noise from N(0, 1); batch norm's eps 1e-5.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganhub.errors import UserError
from ganhub.models import dcgan
from ganhub.models.base import Module, sketch
from training.foreign import Weights

NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


@dataclass
class Layer:
    """A convolution and the norm behind it."""

    name: str
    weight: Tensor
    bias: Tensor | None
    norm: dict[str, Tensor]


def generator_of(source: str, weights: Weights, latent: str = "normal", latent_scale: float = 1.0) -> dcgan.Generator:
    """A generator with these weights, in eval mode.

    Raises:
        UserError: they are not those of a DCGAN generator as above; names the tensor.
    """
    layers = read_layers(source, weights)
    stem, *rest = layers
    chain(source, layers, inputs=0)
    widths = [layer.weight.shape[1] for layer in layers[:-1]]
    config = {
        **sizes(source, layers, rest),
        "channels": layers[-1].weight.shape[1],
        "latent_dim": stem.weight.shape[0],
        "width": widths[-1],
        "max_width": widths[0],
        "norm": norm_of(source, layers[:-1], layers[-1:]),
        "bias": bias_of(layers),
        "latent": latent,
        "latent_scale": latent_scale,
    }
    names = [("stem.0", "stem.1"), *((f"blocks.{i}.0", f"blocks.{i}.1") for i in range(len(rest) - 1))]
    return fill(source, dcgan.Generator, config, layers, [*names, ("to_image", "")])


def discriminator_of(source: str, weights: Weights) -> dcgan.Discriminator:
    """A discriminator with these weights, in eval mode; its logits are what the sigmoid got.

    Raises:
        UserError: they are not those of a DCGAN discriminator as above; names the tensor.
    """
    layers = read_layers(source, weights)
    *rest, head = layers
    chain(source, layers, inputs=1)
    norm_first = bool(rest[0].norm) if rest else False
    config = {
        **sizes(source, [head], rest),
        "channels": layers[0].weight.shape[1],
        "width": layers[0].weight.shape[0],
        "max_width": rest[-1].weight.shape[0] if rest else 0,
        "outputs": head.weight.shape[0],
        "norm": norm_of(source, rest[0 if norm_first else 1 :], [*([] if norm_first else rest[:1]), head]),
        "norm_first": norm_first,
        "bias": bias_of(layers),
    }
    names = [(f"blocks.{i}.0", f"blocks.{i}.1") for i in range(len(rest))]
    return fill(source, dcgan.Discriminator, config, layers, [*names, ("to_logit", "")])


def read_layers(source: str, weights: Weights) -> list[Layer]:
    """Convolutions with their norms, in order; anything else is refused by its name."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in weights.items():
        module, _, part = name.rpartition(".")
        groups.setdefault(module, {})[part] = value
    layers: list[Layer] = []
    for module, parts in groups.items():
        shapes = {part: value.ndim for part, value in parts.items()}
        if shapes in ({"weight": 4}, {"weight": 4, "bias": 1}):
            layers.append(Layer(module, parts["weight"], parts.get("bias"), {}))
        elif layers and not layers[-1].norm and is_norm(parts):
            layers[-1].norm = parts
        else:
            odd = next((part for part in parts if part not in NORM or parts[part].ndim not in (0, 1, 4)), "weight")
            name = f"{module}.{odd}" if module else odd
            raise UserError(
                f"{source}: {name} belongs to no layer of a DCGAN that ganhub has (convolution, batch norm)"
            )
    if len(layers) < 3:
        raise UserError(f"{source}: {len(layers)} convolutions are too few for a DCGAN of 16x16 pixels or more")
    return layers


def is_norm(parts: dict[str, Tensor]) -> bool:
    needed = NORM - {"num_batches_tracked"}  # which PyTorch before 0.4.1 didn't have
    return needed <= parts.keys() <= NORM and all(parts[part].ndim == 1 for part in needed)


def chain(source: str, layers: list[Layer], inputs: int) -> None:
    """Each convolution takes what the one before gives; `inputs` is the axis of its weight that says what it takes."""
    for before, layer in zip(layers, layers[1:]):
        given, taken = before.weight.shape[1 - inputs], layer.weight.shape[inputs]
        if given != taken:
            raise UserError(f"{source}: {layer.name}.weight takes {taken} channels, but {before.name} gives {given}")
    for layer in layers:
        width = layer.weight.shape[1 - inputs]
        for part, value in {"bias": layer.bias, **layer.norm}.items():
            if value is not None and value.ndim and len(value) != width:
                raise UserError(f"{source}: a {part} behind {layer.name} has {len(value)} numbers for {width} channels")


def sizes(source: str, ends: list[Layer], doubling: list[Layer]) -> dict[str, int]:
    """The resolution by the number of layers, the kernel by their shapes; `ends[0]` is at 4x4."""
    if (end := ends[0]).weight.shape[2:] != (4, 4):
        raise UserError(
            f"{source}: {end.name}.weight has kernel {tuple(end.weight.shape[2:])}; at 4x4 pixels it is 4x4"
        )
    kernel = doubling[0].weight.shape[2]
    for layer in doubling:
        if layer.weight.shape[2:] != (kernel, kernel) or kernel not in (3, 4, 5):
            found = tuple(layer.weight.shape[2:])
            raise UserError(f"{source}: {layer.name}.weight has kernel {found}; ganhub's dcgan has one of 3, 4 or 5")
    return {"resolution": 4 * 2 ** min(len(doubling), 16), "kernel": kernel}


def norm_of(source: str, normed: list[Layer], bare: list[Layer]) -> str:
    """Batch norm behind all of the first and none of the second, or none anywhere."""
    if extra := next((layer for layer in bare if layer.norm), None):
        raise UserError(f"{source}: has a batch norm behind {extra.name}, where ganhub's dcgan has none")
    without = next((layer for layer in normed if not layer.norm), None)
    if without and any(layer.norm for layer in normed):
        raise UserError(f"{source}: has no batch norm behind {without.name}, but behind other layers")
    return "none" if without else "batch"


def bias_of(layers: list[Layer]) -> bool:
    """True where any convolution has one; the others get zeros, which change nothing."""
    return any(layer.bias is not None for layer in layers)


def fill(
    source: str, cls: type[Module], config: dict[str, Any], layers: list[Layer], names: list[tuple[str, str]]
) -> Module:
    """A network of that config with the layers' tensors: all of them used, all of it filled."""
    state: dict[str, Tensor] = {}
    for layer, (conv, norm) in zip(layers, names, strict=True):
        state[f"{conv}.weight"] = layer.weight
        if config["bias"]:
            width = len(layer.weight[0]) if cls is dcgan.Generator else len(layer.weight)
            state[f"{conv}.bias"] = torch.zeros(width) if layer.bias is None else layer.bias
        if layer.norm:
            counted = {"num_batches_tracked": torch.tensor(0), **layer.norm}
            state |= {f"{norm}.{part}": value for part, value in counted.items()}
    try:
        network = sketch(cls, config)
        for name, value in network.state_dict().items():
            if value.shape != state[name].shape:
                found = f"{tuple(state[name].shape)} for {name}, a dcgan of this depth has {tuple(value.shape)}"
                raise ValueError(f"{found}: its channels double towards 4x4, up to a maximum")
    except ValueError as error:
        raise UserError(f"{source}: {error}") from error
    network.to_empty(device="cpu")
    network.load_state_dict(state, strict=True)
    return network.eval()
