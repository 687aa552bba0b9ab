"""The architecture registry: one module per family, each with a `Generator` and a `Discriminator`."""

from ganhub.models import dcgan, mlp

ARCHITECTURES = {
    "dcgan": dcgan,
    "mlp": mlp,
}
