"""Steps by a mask beside PyTorch's own optimisers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rlparity.nn import masked_steps, networks, optimizers
from rlparity.provenance.host import KERNEL

SEEDS, STEPS = 3, 20
MAKE: dict[str, Callable[[networks.Network], optimizers.Adam | optimizers.RMSprop]] = {
    "adam": lambda network: optimizers.Adam(network, eps=1e-5),
    "rmsprop": lambda network: optimizers.RMSprop(network),
    "rmsprop of TensorFlow": lambda network: optimizers.RMSprop(network, tf=True),
}


def stepped(name: str, masked: bool, monkeypatch: pytest.MonkeyPatch, rate: float | Tensor) -> Tensor:
    """Parameters after steps along gradients, some of them large, in which one seed or another is not due and
    the last one's gradient is once infinite."""
    monkeypatch.setenv(KERNEL, "off")
    monkeypatch.setattr(optimizers, "by_mask", lambda theta: masked)
    generators = [torch.Generator().manual_seed(k) for k in range(SEEDS)]
    network = networks.Network({"net": networks.mlp([4, 8, 2])}, generators)
    optimizer, random = MAKE[name](network), torch.Generator().manual_seed(9)
    for step in range(STEPS):
        network.grad.copy_(torch.randn(network.grad.shape, generator=random) * 10 ** (step % 3 - 1))
        if step == STEPS // 2 + 1:
            network.grad[-1, 0] = torch.inf
        due = torch.arange(SEEDS) != step % (SEEDS + 1)
        optimizer.step(rate, due, 0.5)
    assert optimizer.alive.tolist() == [True, True, False]
    assert optimizer._counts.sum() > 0 or name != "adam"
    return network.theta.detach().clone()


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("rate", [1e-2, torch.tensor(1e-2, dtype=torch.float64)])
def test_masked_steps_are_the_steps_of_those_that_are_due(
    name: str, rate: float | Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = stepped(name, False, monkeypatch, 1e-2)
    found = stepped(name, True, monkeypatch, rate)
    assert (found - expected).abs().max() < 1e-6 < expected.abs().max()


def test_target_networks_follow_where_due() -> None:
    target, online = torch.zeros(3, 4), torch.ones(3, 4)
    online[1] = torch.nan
    address = target.data_ptr()
    masked_steps.lerp(target, online, 0.25, torch.tensor([True, False, True]))
    assert target.tolist() == [[0.25] * 4, [0.0] * 4, [0.25] * 4] and target.data_ptr() == address
