"""DCGAN: strided convolutions, batch norm, no pooling.

Radford, Metz and Chintala 2016, https://arxiv.org/abs/1511.06434. Deviations: kernels of 3, 4 or 5, any power-of-two
resolution from 16 to 256, logits instead of a sigmoid output, and optional classes: a label embedding beside z in G,
a projection head in D (Miyato and Koyama 2018, https://arxiv.org/abs/1802.05637).

The arguments also give the tutorials' variants (training/presets/tutorials.py). Under an odd kernel of stride 2, Keras
and TensorFlow have the spare pixel of padding at the end, PyTorch at the start: the same networks for mirrored images.
"""

from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ganhub.models import base, layers

PROJECTIONS = ("conv", "dense", "linear")
HEADS = ("conv", "dense")


class Generator(base.Generator):
    """Latents to images through transposed convolutions.

    Args:
        resolution: side of the image in pixels, a power of two from 16 to 256.
        channels: 1 or 3.
        latent_dim: length of z.
        num_classes: 0 for an unconditional model.
        width: channels at half the resolution; they double towards 4x4, up to max_width.
        kernel: 3, 4 or 5.
        label_dim: length of the label embedding beside z; unused without classes.
        latent, latent_scale: the noise, "normal" or "uniform", and what it is multiplied by; see base.Generator.noise.
        max_width: channels stop doubling here (a larger `width` stays as it is).
        project: how z becomes 4x4 maps: a transposed "conv"olution, or "dense" (linear, with bias), both with norm and
            ReLU; or "linear", without either.
        norm: "batch", "instance", "layer" or "none"; after every layer but the last.
        bias: of the convolutions; None puts one where no batch or instance norm follows.
        dropout: share of the numbers set to 0 after each inner block, in training.
        init: initial weights; a name in layers.INITS.
        spectral_norm: divide every weight by its largest singular value.
    """

    arch = "dcgan"

    @register_to_config
    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        latent_dim: int = 100,
        num_classes: int = 0,
        width: int = 64,
        kernel: int = 4,
        label_dim: int = 64,
        latent: str = "normal",
        latent_scale: float = 1.0,
        max_width: int = 512,
        project: str = "conv",
        norm: str = "batch",
        bias: bool | None = None,
        dropout: float = 0.0,
        init: str = "dcgan",
        spectral_norm: bool = False,
    ):
        super().__init__()
        base.check_sizes("dcgan", resolution, channels, num_classes, latent_dim=latent_dim, label_dim=label_dim)
        base.check_latent("dcgan", latent, latent_scale)
        check_choices(kernel, bias, project=(project, PROJECTIONS))
        base.check_flags("dcgan", spectral_norm=spectral_norm)
        widths = level_widths("dcgan", resolution, width, max_width)[::-1]

        def up(c_in: int, c_out: int) -> nn.Sequential:
            conv = upsample(c_in, c_out, kernel, has_bias(bias, norm))
            return nn.Sequential(conv, *layers.norm2d(norm, c_out), nn.ReLU(), *layers.dropout(dropout))

        self.embed = nn.Embedding(num_classes, label_dim) if num_classes else None
        inputs = latent_dim + (label_dim if num_classes else 0)
        self.stem = make_stem(project, inputs, widths[0], norm, bias)  # (B, 512, 4, 4)
        self.blocks = nn.Sequential(*(up(a, b) for a, b in zip(widths, widths[1:])))  # (B, width, R/2, R/2)
        self.to_image = upsample(widths[-1], channels, kernel, has_bias(bias, "none"))
        layers.prepare_weights(self, init, spectral_norm)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        z = base.with_label(self.noise(z), self.embed, labels)
        return self.to_image(self.blocks(self.stem(z[:, :, None, None]))).tanh()


class Discriminator(base.Discriminator):
    """Images to logits through strided convolutions.

    Args:
        resolution, channels, num_classes, kernel, max_width, bias, spectral_norm: as in the generator.
        width: channels at half the resolution; they double towards 4x4, up to max_width.
        norm: "batch" (the paper), "instance", "layer" or "none"; a gradient penalty is per sample, batch norm is not.
        norm_first: norm after the first convolution too; the paper has none at the input.
        head: from 4x4 maps to the logit: a "conv"olution of 4x4, or "dense" (flatten, linear with bias).
        outputs: 1, or 2 for a two-way softmax, whose logit is the difference: real minus fake.
        dropout: share of the numbers set to 0 after each block, in training.
        minibatch_discrimination: kernels of layers.MinibatchDiscrimination beside the flattened maps; 0 is off.
        minibatch_stddev: layers.MinibatchStddev before the head.
        init: initial weights, a name in layers.INITS; empty is "dcgan" with a norm and "he" without, where N(0, 0.02)
            would silence the deeper layers.
    """

    arch = "dcgan"

    @register_to_config
    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        num_classes: int = 0,
        width: int = 64,
        kernel: int = 4,
        norm: str = "batch",
        max_width: int = 512,
        norm_first: bool = False,
        bias: bool | None = None,
        head: str = "conv",
        outputs: int = 1,
        dropout: float = 0.0,
        minibatch_discrimination: int = 0,
        minibatch_stddev: bool = False,
        init: str = "",
        spectral_norm: bool = False,
    ):
        super().__init__()
        base.check_sizes("dcgan", resolution, channels, num_classes)
        check_choices(kernel, bias, head=(head, HEADS), outputs=(outputs, (1, 2)))
        base.check_flags("dcgan", norm_first=norm_first, minibatch_stddev=minibatch_stddev, spectral_norm=spectral_norm)
        if minibatch_discrimination and head != "dense":
            raise ValueError(f"dcgan: minibatch_discrimination reads flattened maps; use head=dense, got {head!r}")
        widths = level_widths("dcgan", resolution, width, max_width)
        norms = [norm if norm_first else "none"] + [norm] * (len(widths) - 1)

        def down(c_in: int, c_out: int, norm: str) -> nn.Sequential:
            conv = nn.Conv2d(c_in, c_out, kernel, 2, (kernel - 1) // 2, bias=has_bias(bias, norm))
            return nn.Sequential(conv, *layers.norm2d(norm, c_out), nn.LeakyReLU(0.2), *layers.dropout(dropout))

        self.blocks = nn.Sequential(*(down(*sizes) for sizes in zip([channels, *widths], widths, norms)))
        maps = widths[-1] + minibatch_stddev
        self.gather = nn.Sequential(*([layers.MinibatchStddev()] if minibatch_stddev else []))  # (B, maps, 4, 4)
        if head == "dense":
            compare = layers.minibatch(16 * maps, minibatch_discrimination)
            self.gather.extend([nn.Flatten(), *compare])  # (B, 16 maps + kernels)
            self.to_logit: nn.Module = nn.Linear(16 * maps + minibatch_discrimination, outputs)
        else:
            self.to_logit = nn.Conv2d(maps, outputs, 4, bias=has_bias(bias, "none"))
        self.embed = nn.Embedding(num_classes, widths[-1]) if num_classes else None
        layers.prepare_weights(self, init or ("he" if norm == "none" else "dcgan"), spectral_norm)

    def hidden(self, images: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        return base.chain(self.blocks, images)  # (B, width, R/2, R/2) to (B, 512, 4, 4)

    def judge(self, code: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
        scores = self.to_logit(self.gather(code)).flatten(1)  # (B, outputs)
        logits = scores[:, 0] if self.config.outputs == 1 else scores[:, 1] - scores[:, 0]
        return base.with_projection(logits, self.embed, code, labels)


def level_widths(name: str, resolution: int, width: int, max_width: int) -> list[int]:
    """Channels from half the resolution down to 4x4: [64, 128, 256, 512] for width 64 at 64x64."""
    base.check_doublings(name, resolution)
    base.check_sizes(name, resolution, channels=3, num_classes=0, width=width, max_width=max_width)
    return [base.widen(width, max_width, i) for i in range(base.doublings(resolution))]


def check_choices(kernel: int, bias: bool | None, **choices: tuple[object, tuple]) -> None:
    base.check_choices("dcgan", kernel=(kernel, (3, 4, 5)), **choices)
    if bias is not None:
        base.check_flags("dcgan", bias=bias)


def has_bias(bias: bool | None, norm: str) -> bool:
    """Whether a convolution before that norm has a bias: as told, or else where it counts."""
    return layers.has_bias(norm) if bias is None else bias


def make_stem(kind: str, inputs: int, width: int, norm: str, bias: bool | None) -> nn.Sequential:
    """(B, inputs, 1, 1) -> (B, width, 4, 4)."""
    after = [*layers.norm2d(norm, width), nn.ReLU()]
    if kind == "conv":
        return nn.Sequential(nn.ConvTranspose2d(inputs, width, 4, bias=has_bias(bias, norm)), *after)
    dense = nn.Flatten(), nn.Linear(inputs, 16 * width), nn.Unflatten(1, (width, 4, 4))
    return nn.Sequential(*dense, *(after if kind == "dense" else []))


def upsample(c_in: int, c_out: int, kernel: int, bias: bool) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the side exactly, whatever the kernel."""
    return nn.ConvTranspose2d(c_in, c_out, kernel, 2, (kernel - 1) // 2, output_padding=kernel % 2, bias=bias)
