"""Phonetic features of a log-mel spectrum, from a small Conformer that recognises phonemes.

- The starter has it in place of wav2vec2.
- Its layout is that of the phoneme recogniser in the Apache-2.0 package `hama` (Conformer-CTC, 191 IPA
  symbols); `training/emotion/phonemes.py` copies the weights.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from atldiff.speech.mel import MEL_BANDS


def feed_forward(width: int) -> nn.Sequential:
    """Feed-forward module of a Conformer block, which adds half of it: (B, T, width) -> same."""
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

    Attention has no position encoding; the convolutions give it the order.
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
    """Log-mel (B, 80, M) at 100 Hz -> phonetic features (B, ceil(M / 2), width) at 50 Hz, one a block.

    Feature i is centred on i / 50 seconds. The middle blocks predict the mouth's shape best; the last block
    has narrow peaks (CTC).

    Args:
        width: features of a frame.
        layers: Conformer blocks.
        heads: of each block's attention.
        kernel: frames of each block's convolution, odd.
        symbols: width of the phoneme head (`phonemes`).
    """

    def __init__(self, width: int, layers: int, heads: int, kernel: int, symbols: int) -> None:
        super().__init__()
        self.stem = nn.Conv1d(MEL_BANDS, width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(ConformerBlock(width, heads, kernel) for _ in range(layers))
        self.head = nn.Linear(width, symbols)

    def forward(self, mel: Tensor) -> list[Tensor]:
        """Log-mel (B, 80, M) -> the outputs of all blocks, first to last."""
        x = F.gelu(self.stem(mel)).transpose(1, 2)
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return outputs

    def phonemes(self, last: Tensor) -> Tensor:
        """The last block's output (B, T, width) -> log-probabilities (B, T, symbols), the blank last."""
        return self.head(last).log_softmax(-1)
