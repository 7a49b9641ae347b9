"""Identity encoders: shapes, frozen ResNet, saving."""

import pytest
import torch

from atldiff.errors import InputError
from atldiff.rendering.diffusion.identity import (
    CompactIdentityEncoder,
    ResNetIdentityEncoder,
    make_identity_encoder,
)

TINY_RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}


@pytest.mark.parametrize(
    "encoder",
    [CompactIdentityEncoder((8, 8), 4), ResNetIdentityEncoder(TINY_RESNET)],
    ids=["compact", "resnet"],
)
def test_features_tell_faces_apart_and_come_back_after_saving(encoder, tmp_path):
    encoder.eval()
    faces = torch.rand(2, 3, 64, 64) * 2 - 1
    features = encoder(faces)
    assert features.shape == (2, encoder.feature_dim)
    assert not torch.allclose(features[0], features[1])
    encoder.save_pretrained(tmp_path)
    again = type(encoder).from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(faces), features, atol=1e-5, rtol=1e-5)


def test_the_mean_of_a_map_is_what_is_pooled():
    torch.manual_seed(0)
    pooled = ResNetIdentityEncoder(TINY_RESNET)
    whole = ResNetIdentityEncoder(TINY_RESNET, pooled=False)
    whole.load_state_dict(pooled.state_dict())
    faces = torch.rand(2, 3, 64, 64) * 2 - 1
    assert whole(faces).ndim == 4
    torch.testing.assert_close(whole(faces).mean(dim=(2, 3)), pooled(faces))


def test_the_compact_encoder_has_no_map():
    with pytest.raises(InputError, match="no map"):
        make_identity_encoder("compact", fusion="map")


def test_resnet_is_frozen_and_says_so_when_the_hub_is_away(monkeypatch):
    assert not any(p.requires_grad for p in ResNetIdentityEncoder(TINY_RESNET).parameters())

    def offline(*_, **__):
        raise OSError("no connection")

    monkeypatch.setattr("transformers.ResNetModel.from_pretrained", offline)
    with pytest.raises(InputError, match="Connect to the internet once"):
        ResNetIdentityEncoder.from_hub()
