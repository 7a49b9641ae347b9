"""The emotion recogniser's Conformer against that of transformers."""

import torch

from atldiff.speech.emotion_conformer import EmotionConformer


def test_it_is_the_conformer_of_transformers_with_its_weights():
    from transformers import Wav2Vec2ConformerConfig
    from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoder

    config = Wav2Vec2ConformerConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        conv_depthwise_kernel_size=15, position_embeddings_type=None, attn_implementation="eager",
    )  # fmt: skip
    theirs, ours = Wav2Vec2ConformerEncoder(config).eval(), EmotionConformer(32, 2).eval()
    for name, buffer in theirs.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    left = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert left.missing_keys == [] and all(key.startswith("pos_conv_embed.") for key in left.unexpected_keys)
    frames = torch.randn(2, 37, 32)
    torch.testing.assert_close(ours(frames), theirs(frames).last_hidden_state, rtol=1e-5, atol=1e-5)


def test_dropout_works_in_training_alone():
    frames, conformer = torch.randn(1, 9, 16), EmotionConformer(16, 1)
    assert not torch.equal(conformer(frames), conformer(frames))
    conformer.eval()
    assert torch.equal(conformer(frames), conformer(frames))
