"""The small convolutional GAN that draws CIFAR-10 frogs.

F. Chollet, Deep Learning with Python (2017), section 8.5, layer by layer with the defaults of Keras at its time:
LeakyReLU of slope 0.3, Glorot's uniform weights, zero biases; no norm. Deviations: logits instead of probabilities,
larger for real images (there fakes are labelled 1, reals 0); other even resolutions; optional classes (a label
embedding beside z in G, a projection head in D, https://arxiv.org/abs/1802.05637) and tricks. There, real images lie in
[0, 1] against a tanh generator, which lets D tell fakes by any dark pixel; here they lie in [-1, 1], and the recipe's
`pixel_range=(0, 1)` shows the original.
"""

from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ganhub.models import base, layers

SLOPE = 0.3
RESOLUTIONS = range(24, 129, 2)  # smaller ones don't survive D's unpadded convolutions


class Generator(base.Generator):
    """Latents to images: a dense layer to maps of half the side, convolutions of 5x5 and 7x7, one step up.

    Args:
        resolution: side of the image in pixels, even, from 24 to 128.
        channels: 1 or 3.
        latent_dim: length of z.
        num_classes: 0 for an unconditional model.
        width: channels after the dense layer; twice as many after the others.
        label_dim: length of the label embedding beside z; unused without classes.
        latent, latent_scale: the noise, "normal" or "uniform", and what it is multiplied by; see base.Generator.noise.
        norm: after every layer but the last: "batch", "instance", "layer" or "none".
        dropout: share of the numbers set to 0 after each inner convolution, in training.
        init: initial weights; a name in layers.INITS.
        spectral_norm: divide every weight by its largest singular value.
    """

    arch = "frog"

    @register_to_config
    def __init__(
        self,
        resolution: int = 32,
        channels: int = 3,
        latent_dim: int = 32,
        num_classes: int = 0,
        width: int = 128,
        label_dim: int = 32,
        latent: str = "normal",
        latent_scale: float = 1.0,
        norm: str = "none",
        dropout: float = 0.0,
        init: str = "xavier",
        spectral_norm: bool = False,
    ):
        super().__init__()
        sizes = {"latent_dim": latent_dim, "width": width, "label_dim": label_dim}
        check(resolution, channels, num_classes, spectral_norm, **sizes)
        base.check_latent("frog", latent, latent_scale)

        def block(conv: layers.Convolution) -> nn.Sequential:
            after = *layers.norm2d(norm, conv.out_channels), nn.LeakyReLU(SLOPE), *layers.dropout(dropout)
            return nn.Sequential(conv, *after)

        self.embed = nn.Embedding(num_classes, label_dim) if num_classes else None
        inputs, half = latent_dim + (label_dim if num_classes else 0), resolution // 2
        self.stem = nn.Sequential(
            nn.Linear(inputs, width * half**2),
            nn.Unflatten(1, (width, half, half)),
            *layers.norm2d(norm, width),
            nn.LeakyReLU(SLOPE),
        )  # (B, width, R/2, R/2)
        self.blocks = nn.Sequential(
            block(nn.Conv2d(width, 2 * width, 5, padding=2)),
            block(nn.ConvTranspose2d(2 * width, 2 * width, 4, 2, 1)),
            block(nn.Conv2d(2 * width, 2 * width, 5, padding=2)),
            block(nn.Conv2d(2 * width, 2 * width, 5, padding=2)),
        )  # (B, 2 width, R, R)
        self.to_image = nn.Conv2d(2 * width, channels, 7, padding=3)
        layers.prepare_weights(self, init, spectral_norm)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        z = base.with_label(self.noise(z), self.embed, labels)
        return self.to_image(self.blocks(self.stem(z))).tanh()


class Discriminator(base.Discriminator):
    """Images to logits through four unpadded convolutions: 32, 30, 14, 6 and 2 pixels.

    Args:
        resolution, channels, num_classes, init, spectral_norm: as in the generator.
        width: channels of every layer.
        norm: after every convolution but the first: "batch", "instance" (from 32 pixels on), "layer" or "none".
        dropout: share of the flattened maps set to 0, in training.
        minibatch_discrimination: kernels of layers.MinibatchDiscrimination beside the flattened maps; 0 is off.
        minibatch_stddev: layers.MinibatchStddev beside them too.
    """

    arch = "frog"

    @register_to_config
    def __init__(
        self,
        resolution: int = 32,
        channels: int = 3,
        num_classes: int = 0,
        width: int = 128,
        norm: str = "none",
        dropout: float = 0.4,
        minibatch_discrimination: int = 0,
        minibatch_stddev: bool = False,
        init: str = "xavier",
        spectral_norm: bool = False,
    ):
        super().__init__()
        check(resolution, channels, num_classes, spectral_norm, width=width)
        base.check_flags("frog", minibatch_stddev=minibatch_stddev)
        if norm == "instance" and last_side(resolution) == 1:
            raise ValueError(
                f"frog: D's last maps are 1x1 at {resolution}, where an instance norm leaves only zeros; "
                "use norm=layer or batch, or a resolution from 32 on"
            )

        def block(conv: nn.Conv2d, norm: str = norm) -> nn.Sequential:
            return nn.Sequential(conv, *layers.norm2d(norm, width), nn.LeakyReLU(SLOPE))

        self.blocks = nn.Sequential(
            block(nn.Conv2d(channels, width, 3), "none"), *(block(nn.Conv2d(width, width, 4, 2)) for _ in range(3))
        )  # (B, 128, 2, 2)
        features = width * last_side(resolution) ** 2
        compare = layers.minibatch(features, minibatch_discrimination, minibatch_stddev)
        self.gather = nn.Sequential(nn.Flatten(), *compare, *layers.dropout(dropout))
        self.to_logit = nn.Linear(features + minibatch_discrimination + minibatch_stddev, 1)
        self.embed = nn.Embedding(num_classes, width) if num_classes else None
        layers.prepare_weights(self, init, spectral_norm)

    def hidden(self, images: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        return base.chain(self.blocks, images)

    def judge(self, code: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
        logits = self.to_logit(self.gather(code)).squeeze(1)
        return base.with_projection(logits, self.embed, code, labels)


def last_side(resolution: int) -> int:
    """Of D's last maps: 2 at 32x32."""
    side = resolution - 2
    for _ in range(3):
        side = (side - 4) // 2 + 1
    return side


def check(resolution: int, channels: int, num_classes: int, spectral_norm: bool, **widths: int) -> None:
    base.check_sizes("frog", resolution, channels, num_classes, **widths)
    if resolution not in RESOLUTIONS:
        raise ValueError(f"frog needs an even resolution from 24 to 128, got {resolution}")
    base.check_flags("frog", spectral_norm=spectral_norm)
