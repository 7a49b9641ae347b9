"""Samples -> log-mel spectrum -> phonetic features: a small Conformer that was trained to recognise phonemes.

It takes wav2vec2's role in the starter. The layout is that of the phoneme recogniser in the
Apache-2.0 package `hama` (Conformer-CTC, 191 IPA symbols), whose weights it starts from:
`training/phonemes.py` copies them.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.speech.mel import MEL_BANDS


def feed_forward(width: int) -> nn.Sequential:
    """Half-step feed-forward module of a Conformer block: (B, T, width) -> same."""
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
    )


class ConvolutionModule(nn.Module):
    """Gated depthwise convolution over time: (B, T, width) -> same (Conformer, Sec. 2.2)."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> same."""
        x = F.glu(self.gate(self.norm(x)), dim=-1)
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return self.out(F.silu(x))


class ConformerBlock(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward: (B, T, width) -> same.

    Attention has no position encoding; the convolutions tell the order.
    """

    def __init__(self, width: int, heads: int, kernel: int) -> None:
        super().__init__()
        self.heads = heads
        self.first = feed_forward(width)
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.convolution = ConvolutionModule(width, kernel)
        self.second = feed_forward(width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> same."""
        x = x + 0.5 * self.first(x)
        x = x + self._attention(self.attention_norm(x))
        x = x + self.convolution(x)
        return self.norm(x + 0.5 * self.second(x))

    def _attention(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.attention_out(mixed.transpose(1, 2).flatten(-2))


class PhoneticEncoder(nn.Module):
    """(B, 80, M) log-mel at 100 Hz -> phonetic features at 50 Hz, one (B, ceil(M / 2), width) a block.

    Feature i is centred on i / 50 seconds. The last block is peaky (CTC), the middle ones tell the
    shape of the mouth best. `symbols` is the width of the phoneme head (`phonemes`).
    """

    def __init__(self, width: int, layers: int, heads: int, kernel: int, symbols: int) -> None:
        super().__init__()
        self.stem = nn.Conv1d(MEL_BANDS, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(ConformerBlock(width, heads, kernel) for _ in range(layers))
        self.head = nn.Linear(width, symbols)

    def forward(self, mel: Tensor) -> list[Tensor]:
        """Log-mel to the output of every block, first to last."""
        x = F.gelu(self.stem(mel)).transpose(1, 2)
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return outputs

    def phonemes(self, last: Tensor) -> Tensor:
        """Last block's output (B, T, width) -> log-probabilities (B, T, symbols); the last is blank."""
        return self.head(last).log_softmax(-1)
