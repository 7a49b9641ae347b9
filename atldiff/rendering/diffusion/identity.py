"""Identity encoders of the portrait.

- `ResNetIdentityEncoder`: a frozen pretrained ResNet, the paper's.
- `CompactIdentityEncoder`: a small network trained with the U-Net, the starter's.
"""

import torch
from torch import Tensor, nn

from atldiff.diffusers_base import ConfigMixin, ModelMixin, register_to_config
from atldiff.errors import InputError
from atldiff.loading import load_published

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ResNetIdentityEncoder(ModelMixin, ConfigMixin):
    """Features of a frozen ResNet (Sec. 2.3, F_id); `microsoft/resnet-50` gives 2048.

    Args:
        resnet_config: keyword arguments of `transformers.ResNetConfig`; None = ResNet-50.
        pooled: whether features are averaged over the picture. The paper uses their map, 4 x 4 of 128 x 128
            pixels.
    """

    @register_to_config
    def __init__(self, resnet_config: dict | None = None, pooled: bool = True) -> None:
        super().__init__()
        from transformers import ResNetConfig, ResNetModel  # it takes a second; the starter has no ResNet

        self.resnet = ResNetModel(ResNetConfig(**(resnet_config or {}))).eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    @property
    def feature_dim(self) -> int:
        """Width of the features."""
        return self.resnet.config.hidden_sizes[-1]

    @classmethod
    def from_hub(cls, name: str = "microsoft/resnet-50", pooled: bool = True) -> "ResNetIdentityEncoder":
        """Loads a pretrained network from the hub.

        Raises:
            InputError: the hub cannot be reached and its cache does not have the weights.
        """
        from transformers import ResNetModel

        resnet = load_published(ResNetModel, name)
        encoder = cls(resnet.config.to_diff_dict(), pooled)
        encoder.resnet.load_state_dict(resnet.state_dict())
        return encoder

    def forward(self, frames: Tensor) -> Tensor:
        """Portrait crops (B, 3, H, W) in [-1, 1] -> features (B, feature_dim).

        Without pooling they are a map (B, feature_dim, h, w).
        """
        features = self.resnet(((frames + 1) / 2 - self.mean) / self.std)
        return features.pooler_output.flatten(1) if self.config.pooled else features.last_hidden_state


class CompactIdentityEncoder(ModelMixin, ConfigMixin):
    """A small convolutional encoder, trained with the starter's U-Net.

    Args:
        channels: width of each stage of stride 2.
        feature_dim: width of the features.
    """

    @register_to_config
    def __init__(self, channels: tuple[int, ...] = (16, 32, 64, 64), feature_dim: int = 64) -> None:
        super().__init__()
        layers, width = [], 3
        for out in channels:
            layers += [nn.Conv2d(width, out, 3, stride=2, padding=1), nn.GroupNorm(8, out), nn.SiLU()]
            width = out
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(width, feature_dim)

    @property
    def feature_dim(self) -> int:
        """Width of the features."""
        return self.config.feature_dim

    def forward(self, frames: Tensor) -> Tensor:
        """Portrait crops (B, 3, H, W) in [-1, 1] -> features (B, feature_dim)."""
        return self.head(self.layers(frames).mean(dim=(2, 3)))


def make_identity_encoder(
    name: str, pretrained: bool = True, fusion: str = "channels"
) -> CompactIdentityEncoder | ResNetIdentityEncoder:
    """Makes the identity encoder of a preset.

    Args:
        name: "compact", or a ResNet on the hub or in a folder.
        pretrained: whether to load the ResNet's weights; else it is a ResNet-50 with random weights.
        fusion: the U-Net's `identity_fusion`; "map" needs a ResNet.

    Raises:
        InputError: the hub cannot be reached, or the fusion is "map" with the compact encoder.
    """
    pooled = fusion != "map"
    if name == "compact":
        if not pooled:
            raise InputError("The compact identity encoder has no map", 'Use identity_fusion "channels"')
        return CompactIdentityEncoder()
    if pretrained:
        return ResNetIdentityEncoder.from_hub(name, pooled)
    return ResNetIdentityEncoder(pooled=pooled)
