"""A small vision transformer."""

from collections.abc import Sequence

from xpnn import layers as L
from xpnn.models.activations import get_activation, weights
from xpnn.models.mlp import dense, entrance

PATCH, HEADS, BLOCKS = 4, 4, 2


def transformer(
    input_shape: Sequence[int],
    classes: int,
    *,
    hidden: Sequence[int] = (64, 128),
    activation: str = "gelu",
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    pixels: bool = False,
) -> list[L.Layer]:
    """Patches of 4x4 pixels as a sequence, two blocks of attention with 4 heads, the mean over the patches, Dense.

    hidden: the width of the sequence, then that between the two dense layers of a block (twice the width if left out).
    A block is x + attention(norm(x)), then x + dense(activation(dense(norm(x)))); positions are learned.
    Source: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021, with the mean in place of a class token.
    """
    width, inner = (*hidden, 2 * hidden[0])[:2] if hidden else (64, 128)
    layers = [*entrance(pixels, input_dropout), L.Conv2D(width, PATCH, PATCH)]
    if len(input_shape) == 3:
        layers.append(L.Reshape((input_shape[0] // PATCH * (input_shape[1] // PATCH), width)))
    layers.append(L.PositionalEncoding("learned"))
    for _ in range(BLOCKS):
        layers += block(width, inner, activation, dropout)
    return [*layers, L.LayerNorm(), L.GlobalAveragePool(), *dense((), classes, activation, 0.0)]


def block(width: int, inner: int, activation: str, dropout: float) -> list[L.Layer]:
    """Attention, then a dense layer in and out, each normalized before and added to what it was given."""
    last: tuple[L.Layer, ...] = (L.Dropout(dropout),) if dropout else ()
    attend = L.LayerNorm(), L.MultiHeadAttention(HEADS)
    think = (
        L.LayerNorm(),
        L.Dense(inner, init=weights(activation)),
        get_activation(activation),
        L.Dense(width),
    )
    return [L.Residual(L.Sequential((*attend, *last))), L.Residual(L.Sequential((*think, *last)))]
