"""The Conformer of the emotion recogniser (Sec. 2.1), as in Gulati et al., "Conformer" (2020).

Its layout is that of `Wav2Vec2ConformerEncoder` of transformers without position embeddings. It loads its
weights. The import of transformers' modelling alone would be a third of a cold start.
"""

from torch import Tensor, nn
from torch.nn import functional as F

HEADS, KERNEL, DROPOUT = 4, 15, 0.1


class FeedForward(nn.Module):
    """Two linear layers: (B, T, width) -> same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(width, 2 * width)
        self.output_dense = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> same."""
        return self.dropout(self.output_dense(self.dropout(F.gelu(self.intermediate_dense(x)))))


class SelfAttention(nn.Module):
    """Attention over time without position encoding: (B, T, width) -> same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_q, self.linear_k = nn.Linear(width, width), nn.Linear(width, width)
        self.linear_v, self.linear_out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> same."""
        projected = (layer(x) for layer in (self.linear_q, self.linear_k, self.linear_v))
        query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in projected)
        dropout = DROPOUT if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.linear_out(mixed.transpose(1, 2).flatten(-2))


class Convolution(nn.Module):
    """Gated depthwise convolution over time: (B, T, width) -> same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width)
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1, bias=False)
        self.depthwise_conv = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width, bias=False)
        self.batch_norm = nn.BatchNorm1d(width)
        self.pointwise_conv2 = nn.Conv1d(width, width, 1, bias=False)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> same."""
        x = F.glu(self.pointwise_conv1(self.layer_norm(x).transpose(1, 2)), dim=1)
        x = F.gelu(self.batch_norm(self.depthwise_conv(x)))
        return self.dropout(self.pointwise_conv2(x)).transpose(1, 2)


class EmotionConformerBlock(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward: (B, T, width) -> same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ffn1_layer_norm, self.ffn1 = nn.LayerNorm(width), FeedForward(width)
        self.self_attn_layer_norm, self.self_attn = nn.LayerNorm(width), SelfAttention(width)
        self.conv_module = Convolution(width)
        self.ffn2_layer_norm, self.ffn2 = nn.LayerNorm(width), FeedForward(width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> same."""
        x = x + 0.5 * self.ffn1(self.ffn1_layer_norm(x))
        x = x + self.dropout(self.self_attn(self.self_attn_layer_norm(x)))
        x = x + self.conv_module(x)
        return self.final_layer_norm(x + 0.5 * self.ffn2(self.ffn2_layer_norm(x)))


class EmotionConformer(nn.Module):
    """Blocks and a last norm: (B, T, width) -> same.

    Args:
        width: features of a frame, a multiple of 4.
        layers: number of blocks.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EmotionConformerBlock(width) for _ in range(layers))
        self.layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) -> same."""
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x)
