"""Drawn pictures for tests of filters: sharp shapes, and the same kind blurred and noisy."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def shapes(number, size=48):
    """A sharp picture: an ellipse and two rectangles on an even ground, drawn from a seed."""
    random = np.random.default_rng(number)
    image = Image.new("RGB", (size, size), tuple(random.integers(120, 255, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for shape in (draw.ellipse, draw.rectangle, draw.rectangle):
        x, y = random.integers(0, size // 2, 2).tolist()
        width, height = random.integers(size // 5, size // 2, 2).tolist()
        shape((x, y, x + width, y + height), fill=tuple(random.integers(0, 120, 3).tolist()))
    return image


def spoilt(number, size=48):
    """The same kind of picture, blurred, with noise over it."""
    random = np.random.default_rng(number)
    blurred = np.asarray(shapes(number, size).filter(ImageFilter.GaussianBlur(3)), dtype=np.float32)
    return Image.fromarray((blurred + random.normal(0, 12, blurred.shape)).clip(0, 255).astype(np.uint8))


def draw_labelled(folder, num_each, size=48, suffix=".png"):
    """Folders 0 (spoilt) and 1 (sharp), half of each in a folder below."""
    for label, draw in enumerate((spoilt, shapes)):
        for number in range(num_each):
            where = folder / str(label) / ("more" if number % 2 else "")
            where.mkdir(parents=True, exist_ok=True)
            draw(2 * number + label, size).save(where / f"{number:03d}{suffix}")
    return folder
