"""Operations of an update, counted by hand, and a machine's best rate."""

from __future__ import annotations

import time

import pytest
import torch

from rlparity.benchmark import flops
from rlparity.nn import networks

ONE = {"batch_size": 1, "net_arch": [10]}  # one row, one hidden layer


def test_ddpg_by_hand():
    """Observation of 3, action of 2. Actor: 3x10 + 10x2 = 50; critic: 5x10 + 10 = 60 multiplications.

    Critic: target actor 50, target critic 60, critic 60, its weights 60 and one layer of inputs 10.
    Actor: itself 50, critic 60 and its inputs 60, actor's weights 50 and one layer of inputs 20.
    """
    critic, actor = 50 + 60 + 60 + 60 + 10, 50 + 60 + 60 + 50 + 20
    assert flops.per_update("ddpg", ONE, 3, 2) == 2 * (critic + actor)


def test_td3_updates_its_actor_every_other_time():
    critic, actor = 50 + 2 * (60 + 60 + 60 + 10), 50 + 60 + 60 + 50 + 20
    assert flops.per_update("td3", {**ONE, "policy_delay": 2}, 3, 2) == 2 * (critic + actor / 2)


def test_sac_on_halfcheetah_takes_about_600_million():
    values = {"batch_size": 256, "net_arch": [256, 256]}
    assert flops.per_update("sac", values, 17, 6) == pytest.approx(600e6, rel=0.05)


def test_others_are_not_counted():
    assert flops.per_update("ppo", ONE, 3, 2) is None


@pytest.mark.probes
def test_the_machine_multiplies():
    assert 1e9 < flops.best_rate() < 1e14


@pytest.mark.probes
@pytest.mark.parametrize("product", [flops._onednn, torch.mm])
def test_the_products_are_of_full_precision(product):
    """bfloat16 would be off by 1e-2, TF32 by 1e-3: no rate is of a lower precision than its name says."""
    torch.manual_seed(0)
    a, b = torch.randn(2, flops.SIZE, flops.SIZE)
    exact = a.double() @ (b.double().T if product is flops._onednn else b.double())
    assert (product(a, b) - exact).abs().max() / exact.abs().max() < 1e-5


@pytest.mark.probes
def test_the_rate_is_of_one_thread():
    """The processor's time of all threads is no more than the time that passes."""
    flops.best_rate()
    started, processor = time.perf_counter(), time.process_time()
    flops.best_rate()
    assert time.process_time() - processor < 1.1 * (time.perf_counter() - started)


def test_a_networks_share_counts_its_products_and_leaves_no_other_mark(monkeypatch):
    """Passes that take as long as the large product, with a tenth of its operations, are a tenth of it."""
    sizes, rows = [3, 10, 1], 7
    generators = [torch.Generator(), torch.Generator()]
    network = networks.Network({"q": networks.mlp(sizes)}, generators)
    before = network.theta.clone()
    monkeypatch.setattr(flops, "best_rate", lambda: 2 * 2 * rows * ((30 + 10) + (30 + 10 + 10)) * 10 / 0.5)
    monkeypatch.setattr(flops, "_seconds", lambda call, times: [call(), 0.5][1])
    assert flops.share_of_best(network, "q", sizes, rows) == pytest.approx(0.1)
    assert torch.equal(network.theta, before)
