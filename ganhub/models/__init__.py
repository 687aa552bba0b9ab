"""The architecture registry: one module per family, each with a `Generator` and a `Discriminator`."""

from ganhub.models import autoencoder, capsule, dcgan, frog, mlp, resnet

ARCHITECTURES = {
    "dcgan": dcgan,
    "mlp": mlp,
    "frog": frog,
    "resnet": resnet,
    "autoencoder": autoencoder,
    "capsule": capsule,
}
