"""Small pictures that a detector finds something in, or nothing."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def draw_face(size=(160, 120), box=(30, 20, 90, 80)):
    """Hair, eyes, brows, nose and mouth with the shading of a photograph: OpenCV's frontal cascade takes it for one."""
    picture = Image.new("RGB", size, (120, 130, 140))
    draw, side = ImageDraw.Draw(picture), box[2] - box[0]

    def ellipse(left, top, right, bottom, level):
        place = [box[i % 2] + side * share for i, share in enumerate((left, top, right, bottom))]
        draw.ellipse(place, fill=(level, int(level * 0.85), int(level * 0.75)))

    ellipse(0.1, -0.15, 0.9, 0.8, 50)
    ellipse(0.12, 0, 0.88, 1.1, 200)
    for x in (0.32, 0.68):
        ellipse(x - 0.13, 0.27, x + 0.13, 0.45, 150)
        ellipse(x - 0.12, 0.25, x + 0.12, 0.3, 60)
        ellipse(x - 0.09, 0.34, x + 0.09, 0.43, 90)
    ellipse(0.44, 0.4, 0.56, 0.66, 225)
    ellipse(0.42, 0.62, 0.58, 0.67, 130)
    ellipse(0.33, 0.76, 0.67, 0.85, 110)
    return picture.filter(ImageFilter.GaussianBlur(side / 50))


def draw_cartoon(size=(160, 120), middle=(110, 50), radius=25):
    """A figure with outlines on a background that hardly changes."""
    ramp = np.linspace(90, 130, size[0])[None, :, None] + np.zeros((size[1], 1, 3))
    picture = Image.fromarray(ramp.astype(np.uint8))
    draw, (x, y) = ImageDraw.Draw(picture), middle
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(250, 210, 20), outline="black", width=2)
    for dx in (-10, 10):
        draw.ellipse((x + dx - 8, y - 12, x + dx + 8, y + 4), fill="white", outline="black", width=2)
        draw.ellipse((x + dx - 2, y - 6, x + dx + 2, y - 2), fill="black")
    draw.line((x - 12, y + 12, x + 12, y + 14), fill="black", width=2)
    return picture


def noise(size=(20, 20), seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
