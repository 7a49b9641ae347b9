"""diffusers' moving average of weights, without the networks that its module brings for other uses."""

from atldiff.diffusers_base import without_compiler, without_networks

_UNET = ("diffusers.models", "UNet2DConditionModel", "diffusers.models.unets.unet_2d_condition")

with without_compiler(), without_networks(_UNET):
    from diffusers.training_utils import EMAModel

__all__ = ["EMAModel"]
