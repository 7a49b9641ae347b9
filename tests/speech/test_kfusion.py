"""Identities of the KAN layer and of KFusion; random weights suffice."""

import torch

from atldiff.speech.kan import GRID_INTERVALS, SPLINE_ORDER, KANHead, KANLayer
from atldiff.speech.kfusion import KFusion, MLPHead, PlainFusion, insert_mouth


def test_the_splines_sum_to_one_on_the_grid():
    layer = KANLayer(3, 2)
    with torch.no_grad():
        layer.base.weight.zero_()
        layer.base.bias.zero_()
        layer.coefficients.fill_(0.5)  # a spline with equal coefficients is that constant
    x = torch.rand(50, 3) * 1.98 - 0.99
    torch.testing.assert_close(layer(x), torch.full((50, 2), 1.5), rtol=1e-4, atol=1e-4)


def test_without_splines_a_layer_is_a_linear_map_of_silu():
    layer = KANLayer(4, 3)
    with torch.no_grad():
        layer.coefficients.zero_()
    x = torch.randn(7, 4)
    torch.testing.assert_close(layer(x), layer.base(torch.nn.functional.silu(x)))


def test_a_layer_learns_a_curve():
    torch.manual_seed(0)
    layer = KANLayer(1, 1)
    optimizer = torch.optim.Adam(layer.parameters(), 0.05)
    x = torch.linspace(-1, 1, 64)[:, None]
    for _ in range(200):
        loss = (layer(x) - torch.sin(3 * x)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1e-3


def test_a_layer_is_pykans_own_and_a_bias():
    from kan.KANLayer import KANLayer as Reference  # here: it takes seconds

    torch.manual_seed(0)
    layer, reference = KANLayer(4, 3), Reference(4, 3, num=GRID_INTERVALS, k=SPLINE_ORDER)
    with torch.no_grad():
        reference.coef.copy_(layer.coefficients)
        reference.scale_base.copy_(layer.base.weight.T)
        reference.scale_sp.fill_(1)
    x = torch.rand(50, 4) * 2.4 - 1.2  # also beyond the grid
    torch.testing.assert_close(layer(x), reference(x)[0] + layer.base.bias)


def test_the_mouth_goes_to_rows_48_to_67():
    face, mouth = torch.zeros(1, 2, 68, 5), torch.ones(1, 2, 20, 5)
    assert insert_mouth(face, mouth).sum(dim=(0, 1, 3)).tolist() == [0.0] * 48 + [10.0] * 20


def test_the_face_has_a_residual_path_and_the_mouth_has_none():
    fusion = KFusion(3, 4, 8, 6, "kan", 0.0).eval()
    with torch.no_grad():
        for block in (fusion.face, fusion.mouth):
            for parameter in block.parameters():
                parameter.zero_()
    seen = {}
    fusion.head.register_forward_pre_hook(lambda _, args: seen.update(x=args[0]))
    face = torch.randn(1, 3, 68, 5)
    fusion(face, torch.randn(1, 3, 20, 5))
    rows = seen["x"].view(1, 5, 4, 68)
    assert rows[..., 48:].abs().max() == 0
    torch.testing.assert_close(rows.permute(0, 2, 3, 1)[:, :, :48], fusion.face_path(face)[:, :, :48])


def test_shapes_of_every_head_and_ablation():
    face, mouth = torch.randn(2, 3, 68, 9), torch.randn(2, 3, 20, 9)
    for fusion in (KFusion(3, 4, 8, 6, "kan", 0.1), KFusion(3, 4, 8, 6, "mlp", 0.1), PlainFusion(3, 6)):
        assert fusion(face, mouth).shape == (2, 9, 6)
    assert isinstance(KFusion(3, 4, 8, 6, "mlp", 0.1).head, MLPHead)


def test_the_kan_head_takes_any_size_of_input():
    assert torch.isfinite(KANHead(6, 4, 2)(1e4 * torch.randn(2, 3, 6))).all()
