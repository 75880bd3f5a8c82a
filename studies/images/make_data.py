"""Writes pictures of circles, squares and triangles next to this file, in the folder `shapes`.

python studies/images/make_data.py
"""

import random
from pathlib import Path

from PIL import Image, ImageDraw

N_IMAGES = 60  # of each class
SIDE = 32


def draw(shape: str, rng: random.Random) -> Image.Image:
    """Draw a shape of any colour, size and place on a noisy ground."""
    image = Image.effect_noise((SIDE, SIDE), 40).convert("RGB")
    radius = rng.randint(5, 10)
    x, y = (rng.randint(radius, SIDE - radius) for _ in range(2))
    colour = tuple(rng.randint(120, 255) for _ in range(3))
    pen = ImageDraw.Draw(image)
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon(((x, y - radius), (x - radius, y + radius), (x + radius, y + radius)), colour)
    return image


def main() -> None:
    """Write one folder for each class."""
    rng = random.Random(1)
    folder = Path(__file__).with_name("shapes")
    for shape in ("circle", "square", "triangle"):
        (folder / shape).mkdir(parents=True, exist_ok=True)
        for number in range(N_IMAGES):
            draw(shape, rng).save(folder / shape / f"{number:02d}.png")
    print(f"{folder}: written")


if __name__ == "__main__":
    main()
