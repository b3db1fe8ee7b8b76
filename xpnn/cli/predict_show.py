"""What `xpnn predict --show` saves: a photograph with its boxes, and beside it what the network saw."""

import io
from typing import TYPE_CHECKING

from xpnn.data.picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

HEIGHT, TILE, GAP = 480, 140, 8
"""Pixels: of the photograph at most, of a side of what the network saw, and in between."""
BOX = (220, 40, 40)


def side_by_side(photo: "Image", found: list[tuple[Picture, str]]) -> bytes:
    """Return a PNG: the photograph on the left, then samples in columns, each with its class below."""
    from PIL import Image, ImageDraw

    left = photo.convert("RGB")
    scale = min(1.0, HEIGHT / left.height)
    left = left.resize((max(1, round(left.width * scale)), max(1, round(left.height * scale))))
    draw = ImageDraw.Draw(left)
    for picture, _ in found:
        if picture.cropped:
            draw.rectangle([round(n * scale) for n in picture.box], outline=BOX, width=2)
    down = max(1, HEIGHT // (TILE + 3 * GAP))
    columns = -(-len(found) // down)
    page = Image.new("RGB", (left.width + columns * (TILE + GAP) + GAP, max(left.height, HEIGHT)), "white")
    page.paste(left, (0, 0))
    write = ImageDraw.Draw(page)
    for i, (picture, name) in enumerate(found):
        x, y = left.width + GAP + i // down * (TILE + GAP), i % down * (TILE + 3 * GAP)
        pixels = picture.pixels[:, :, 0] if picture.pixels.shape[2] == 1 else picture.pixels
        tile = Image.fromarray(pixels).convert("RGB").resize((TILE, TILE), Image.Resampling.NEAREST)
        page.paste(tile, (x, y))
        write.text((x, y + TILE + 2), f"{i + 1}: {name}"[:22], fill="black")
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()
