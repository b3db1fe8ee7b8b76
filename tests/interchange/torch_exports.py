"""Networks of PyTorch as its own exporter writes them: {name: () -> (module, samples, layers among those here)}."""

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """A layer of a transformer with one product for queries, keys and values; its normalizations come first."""

    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wide, self.back = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        n, time, width = x.shape
        parts = self.qkv(self.first(x)).split(width, dim=2)
        q, k, v = (a.view(n, time, self.heads, -1).transpose(1, 2) for a in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(y.transpose(1, 2).reshape(n, time, width))
        return x + self.back(F.gelu(self.wide(self.second(x))))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(11, 8), nn.Embedding(6, 8)
        self.blocks = nn.Sequential(*(Block(8, 2, causal=True) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 11, bias=False)

    def forward(self, ids):
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        return self.head(self.norm(self.blocks(x)))


class Patches(nn.Module):
    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 4, 4)
        self.token, self.places = nn.Parameter(torch.empty(1, 1, 8)), nn.Parameter(torch.empty(1, 5, 8))
        self.block, self.head = Block(8, 2, causal=False), nn.Linear(8, 3)

    def forward(self, x):
        x = self.cut(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.block(x)[:, 0])


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.lstm = nn.Embedding(9, 4), nn.LSTM(4, 5, batch_first=True, num_layers=2)
        self.head = nn.Linear(10, 3)

    def forward(self, ids):
        y, (h, _) = self.lstm(self.words(ids))
        return self.head(torch.cat([y[:, -1], h[0]], 1))


class Excited(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.less, self.more = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.conv(x)
        x = x * torch.sigmoid(self.more(F.silu(self.less(F.adaptive_avg_pool2d(x, 1)))))
        return self.head(F.hardswish(x).mean((2, 3)))


def encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


IDS = torch.arange(12).reshape(2, 6) % 9
NETWORKS = {
    "encoder": lambda: (encoder(), torch.randn(2, 6, 8), {"MultiHeadAttention", "GELU", "LayerNorm"}),
    "decoder": lambda: (Decoder(), IDS, {"MultiHeadAttention", "GELU", "LayerNorm", "Embedding"}),
    "recurrent": lambda: (Recurrent(), IDS, {"LSTM", "Slice"}),
    "pictures in patches": lambda: (
        Patches(),
        torch.randn(2, 3, 8, 8),
        {"MultiHeadAttention", "Pad", "Offset"},
    ),
    "squeeze and excite": lambda: (Excited(), torch.randn(2, 3, 6, 6), {"Multiply", "HardSwish"}),
}
