"""The labels that the discriminator is told: 1 for real, 0 for generated, until a trick changes them.

One-sided smoothing: Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 3.4. Flips: ganhacks,
https://github.com/soumith/ganhacks, no. 6. Additive noise: the Keras frog tutorial (F. Chollet, Deep Learning with
Python, 2017, section 8.5).
"""

import torch
from torch import Tensor

from training.recipe import Recipe


def tricky(recipe: Recipe) -> bool:
    """Does the recipe change any label?"""
    return recipe.real_label != (1.0, 1.0) or recipe.label_noise != 0 or recipe.label_flip > 0


def draw_labels(recipe: Recipe, images: Tensor, real: bool) -> Tensor:
    """One label (B,) for each image (B, C, R, R): smoothed, then flipped, then with noise added."""
    low, high = map(float, recipe.real_label if real else (0, 0))  # of whole numbers labels would be whole, too
    labels = torch.full((len(images),), low, device=images.device)
    if low < high:
        labels = labels.uniform_(low, high)
    if recipe.label_flip:
        draws = torch.rand(len(images) if recipe.label_flip_per == "sample" else 1, device=images.device)
        labels = torch.where(draws < recipe.label_flip, 1 - labels, labels)
    if recipe.label_noise:
        labels = labels + recipe.label_noise * torch.rand_like(labels)
    return labels
