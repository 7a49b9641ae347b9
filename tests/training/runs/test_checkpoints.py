"""A saved state brings back weights, optimiser and average; a full disk loses nothing."""

from types import SimpleNamespace

import pytest
import torch
from diffusers.training_utils import EMAModel

from atldiff.errors import InputError
from atldiff.training.runs.checkpoints import load_state, save_networks, save_state, use_average


def parts() -> dict:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    average = EMAModel(net.parameters(), decay=0.9)
    return {"net": net, "average": average, "optimizer": torch.optim.AdamW(net.parameters(), 0.1)}


def step(parts: dict) -> None:
    parts["optimizer"].zero_grad()
    parts["net"](torch.ones(4, 3)).square().sum().backward()
    parts["optimizer"].step()
    parts["average"].step(parts["net"].parameters())


def test_the_next_steps_are_the_same_as_without_a_stop(tmp_path):
    mine = parts()
    step(mine)
    save_state(tmp_path / "state.pt", mine, step=1, lags=[0, 2])
    for _ in range(3):
        step(mine)
    theirs = parts()
    assert load_state(tmp_path / "state.pt", theirs, torch.device("cpu")) == {"step": 1, "lags": [0, 2]}
    for _ in range(3):
        step(theirs)
    for name in mine:
        torch.testing.assert_close(theirs[name].state_dict(), mine[name].state_dict(), rtol=0, atol=0)


def test_the_average_is_there_inside_the_block_alone():
    mine = parts()
    for _ in range(4):
        step(mine)
    frozen = mine["net"].frozen = torch.nn.BatchNorm1d(2, affine=False).eval()
    net, before = mine["net"], mine["net"].weight.detach().clone()
    with use_average(net, mine["average"]):
        assert not net.training
        torch.testing.assert_close(net.weight.detach(), mine["average"].shadow_params[0])
        assert not torch.equal(net.weight, before)
    assert net.training and not frozen.training and torch.equal(net.weight, before)


def test_networks_that_cannot_be_written_leave_those_before(tmp_path, monkeypatch):
    net = SimpleNamespace(save_pretrained=lambda folder: write(folder, "new"))

    def write(folder, text):
        folder.mkdir(parents=True)
        (folder / "weights").write_text(text)

    save_networks(tmp_path / "best", {"net": net})

    def full(folder):
        write(folder, "half")
        raise OSError(28, "No space left")

    with pytest.raises(InputError, match="Make room"):
        save_networks(tmp_path / "best", {"net": SimpleNamespace(save_pretrained=full)})
    assert (tmp_path / "best" / "net" / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize("error", [RuntimeError("PytorchStreamWriter failed"), OSError(28, "No space left")])
def test_a_full_disk_is_said_and_leaves_the_state_before(tmp_path, monkeypatch, error):
    mine = parts()
    save_state(tmp_path / "state.pt", mine, step=1)

    def full(_, path):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match="Make room"):
        save_state(tmp_path / "state.pt", mine, step=2)
    assert load_state(tmp_path / "state.pt", mine, torch.device("cpu")) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("key", ["settings", "begun"])  # the second: of a version before
def test_a_state_of_other_networks_or_settings_and_half_a_file_are_refused(tmp_path, key):
    mine, path = parts(), tmp_path / "state.pt"
    save_state(path, mine, step=1, **{key: {"preset": {"kernel": (1, 2)}}})
    assert load_state(path, mine, torch.device("cpu"), {"preset": {"kernel": (1, 2)}})["step"] == 1
    with pytest.raises(InputError, match="begun with another preset: Give another --out"):
        load_state(path, mine, torch.device("cpu"), {"preset": {"kernel": (1, 3)}})
    newer = {"preset": {"kernel": (1, 2), "frames": 6}}  # a field the state does not know
    assert load_state(path, mine, torch.device("cpu"), newer)["step"] == 1
    with pytest.raises(InputError, match="begun with another preset"):
        load_state(path, mine, torch.device("cpu"), {"preset": {"frames": 6}})
    with pytest.raises(InputError, match="other networks"):
        load_state(path, mine | {"net": torch.nn.Linear(3, 3)}, torch.device("cpu"))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"state.pt cannot be read: Remove it"):
        load_state(path, mine, torch.device("cpu"))
