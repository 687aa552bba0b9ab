"""The named presets. Each is a Recipe, most derived from another with `dataclasses.replace`."""

from training.presets.next_steps import NEXT_STEPS
from training.presets.small import SMALL
from training.presets.toys import TOYS
from training.presets.tutorials import TUTORIALS
from training.presets.zoo import ZOO
from training.recipe import Recipe

PRESETS: dict[str, Recipe] = {recipe.name: recipe for recipe in (*ZOO, *SMALL, *TUTORIALS, *NEXT_STEPS, *TOYS)}
