"""The kernel computes what PyTorch's operations do, forwards, backwards and in steps of Adam; and a seed has
no neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor

from rlparity.nn import networks
from rlparity.nn.kernel import adam, passes
from rlparity.nn.networks import Network, mlp
from rlparity.nn.optimizers import Adam

pytestmark = pytest.mark.paper

SEEDS = range(3)
DTYPES = {torch.float32: 1e-5, torch.float64: 1e-12}  # distance from PyTorch's, of numbers of size 1
SIZES = [
    (4, 64, 64, 2),
    (4, 64, 64, 1),
    (3, 1),  # one layer
    (17, 33, 9),
    (1, 7, 1),
    (11, 100, 130, 30, 3),
    (5, 16, 8),  # a head of 8 outputs is a sum over lanes, one of 9 is not
    (23, 31, 97, 12),
]
ROWS = [1, 2, 3, 5, 6, 7, 16, 47, 48, 49, 64, 97]  # six are a tile, 48 are a block


def draw(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64).to(dtype)


def build(
    sizes: Sequence[int] = (4, 64, 64, 2),
    activation: str = "tanh",
    dtype: torch.dtype = torch.float32,
    seeds: Sequence[int] = SEEDS,
) -> Network:
    """A stack between two others, with biases that are not zero."""
    stacks = {"before": mlp([2, 3]), "net": mlp(sizes), "after": mlp([3, 2])}
    generators = [torch.Generator().manual_seed(k) for k in seeds]
    network = Network(stacks, generators, activation, {"vector": [0.5, 0.25, 0.125]})
    return network._view(network.theta.detach().to(dtype))


def plain(network: Network, monkeypatch: pytest.MonkeyPatch) -> Network:
    """The same network through PyTorch's operations."""
    with monkeypatch.context() as patch:
        patch.setenv("RLPARITY_KERNEL", "off")
        found = network.copy()
    assert network.kernel and not found.kernel
    return found


def passed(network: Network, x: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Outputs, and the gradients of a loss by parameters and inputs."""
    x = x.clone().requires_grad_()
    y = network("net", x).view(weight.shape)
    loss = (y * weight).sum((1, 2))
    (grad_x,) = torch.autograd.grad(loss.sum(), x, retain_graph=True)
    network.grad[:, : network.n_parameters] = torch.nan
    network.backward(loss)
    return {"y": y.detach(), "x": grad_x, "theta": network.grad[:, : network.n_parameters].clone()}


def assert_close(found: Tensor, true: Tensor, dtype: torch.dtype) -> None:
    scale = max(1.0, float(true.abs().max()))
    torch.testing.assert_close(found / scale, true / scale, rtol=0, atol=DTYPES[dtype])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_passes_are_pytorchs(
    sizes: Sequence[int], activation: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
):
    network = build(sizes, activation, dtype)
    other = plain(network, monkeypatch)
    for rows in ROWS:
        x = draw(3, rows, sizes[0], dtype=dtype, seed=rows)
        weight = draw(3, rows, sizes[-1], dtype=dtype, seed=rows + 1) / rows
        ours, theirs = passed(network, x, weight), passed(other, x, weight)
        for name, true in theirs.items():
            assert_close(ours[name], true, dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_passes_without_a_graph_are_the_same_to_the_last_bit(
    sizes: Sequence[int], activation: str, dtype: torch.dtype
):
    network = build(sizes, activation, dtype)
    for rows in ROWS:
        x, weight = (draw(3, rows, n, dtype=dtype, seed=rows) for n in (sizes[0], sizes[-1]))
        true = passed(network, x, weight)
        with torch.no_grad():
            inferred = network("net", x).view_as(true["y"])
            y, tape = network.run("net", x)
            network.grad.zero_()
            network.pull("net", tape, weight.squeeze(-1))
        assert torch.equal(inferred, true["y"]) and torch.equal(y.view_as(true["y"]), true["y"])
        assert torch.equal(network.grad[:, : network.n_parameters], true["theta"])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_seed_alone_is_the_seed_among_others(sizes: Sequence[int], activation: str, dtype: torch.dtype):
    whole = build(sizes, activation, dtype)
    for rows in ROWS:
        x, weight = (draw(3, rows, n, dtype=dtype, seed=rows) for n in (sizes[0], sizes[-1]))
        among = passed(whole, x, weight)
        for k in SEEDS:
            alone = build(sizes, activation, dtype, [k])
            one = slice(k, k + 1)
            for name, value in passed(alone, x[one], weight[one]).items():
                assert torch.equal(value, among[name][one])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_row_alone_is_the_row_among_others(dtype: torch.dtype):
    network = build((17, 33, 20, 9), dtype=dtype)
    x = draw(3, 97, 17, dtype=dtype)
    with torch.no_grad():
        y = network("net", x)
        for i in (0, 5, 46, 47, 48, 95, 96):
            assert torch.equal(network("net", x[:, i : i + 1]), y[:, i : i + 1])


def test_inputs_may_lie_in_any_order():
    network = build((5, 16, 8))
    x, weight = draw(3, 20, 5), draw(3, 20, 8)
    true = passed(network, x, weight)
    for other in (
        draw(20, 3, 5).transpose(0, 1),
        draw(3, 5, 20).mT,
        draw(3, 40, 5)[:, ::2],
        draw(3, 20, 9)[..., 2:7],
    ):
        found = passed(network, other.copy_(x), weight.transpose(0, 1).contiguous().transpose(0, 1))
        assert all(torch.equal(found[name], true[name]) for name in true)
    one, wide = draw(1, 20, 5), draw(3, 20, 8)
    expanded, copied = (passed(network, each, wide) for each in (one.expand(3, -1, -1), one.repeat(3, 1, 1)))
    assert all(torch.equal(expanded[name], copied[name]) for name in copied)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gradients_of_a_stack_that_is_asked_twice_add_up(
    sizes: Sequence[int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
):
    network = build(sizes, dtype=dtype)
    other = plain(network, monkeypatch)
    first, second = draw(2, 3, 21, sizes[0], dtype=dtype)
    for each in (network, other):
        each.grad.fill_(torch.nan)
        twice = each("net", first).flatten(1).mean(1) + each("net", second).square().flatten(1).mean(1)
        each.backward(twice * each.vectors["vector"].sum((1, 2)))
    assert_close(network.grad[:, : network.n_parameters], other.grad[:, : network.n_parameters], dtype)
    again = network.grad.clone()
    twice = network("net", first).flatten(1).mean(1) + network("net", second).square().flatten(1).mean(1)
    network.backward(twice * network.vectors["vector"].sum((1, 2)))  # nothing of the pass before is left
    assert torch.equal(network.grad[:, : network.n_parameters], again[:, : network.n_parameters])


def test_a_stack_after_another_gets_its_gradient_through_it(monkeypatch: pytest.MonkeyPatch):
    """`after` takes what `before` makes, as a critic takes an actor's actions."""
    network = build(dtype=torch.float64)
    other = plain(network, monkeypatch)
    x = draw(3, 30, 2, dtype=torch.float64)
    for each in (network, other):
        each.backward(each("after", each("before", x)).square().sum((1, 2)))
    assert_close(network.grad, other.grad, torch.float64)
    assert network.grad[:, :9].count_nonzero() == 27  # 2 x 3 weights and 3 biases


def part(network: Network, name: str) -> slice:
    """Where a stack's parameters lie in a row."""
    sizes = {
        key: sum(leaf[0].numel() for layer in value for leaf in layer)
        for key, value in network.stacks.items()
    }
    first = sum(size for key, size in sizes.items() if list(sizes).index(key) < list(sizes).index(name))
    return slice(first, first + sizes[name])


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_nothing_is_written_outside_a_stacks_part(sizes: Sequence[int], dtype: torch.dtype, add: bool):
    network = build(sizes, "relu", dtype)
    own = part(network, "net")
    for rows in (1, 6, 49):
        x, weight = (draw(3, rows, n, dtype=dtype) for n in (sizes[0], sizes[-1]))
        _, tape = network.run("net", x)
        network.grad.fill_(7)
        theta = network.theta.detach().clone()
        network.kernel["net"].pull(network.theta.detach(), tape, weight, network.grad, add, wish_x=True)
        outside = torch.ones_like(network.grad, dtype=torch.bool)
        outside[:, own] = False
        assert (network.grad[outside] == 7).all() and (network.grad[~outside] != 7).any()
        assert torch.equal(network.theta, theta)
        network.grad.fill_(7)
        by_x = network.kernel["net"].pull(network.theta.detach(), tape, weight, None, wish_x=True)
        assert (network.grad == 7).all() and by_x.shape == x.shape


@pytest.mark.parametrize("hidden", [[256, 256], [8], []], ids=str)
def test_a_constant_stack_passes_the_gradient_on_and_takes_none(hidden: list[int]):
    network = build((5, *hidden, 1), "relu")
    x = draw(3, 64, 5).requires_grad_()
    free, constant = (network("net", x, constant=flag) for flag in (False, True))
    assert torch.equal(free, constant)
    by_x = []
    for y, expected in ((free, True), (constant, False)):
        network.grad.fill_(7)
        network._written.clear()
        leaves = [x, network._token]
        found = torch.autograd.grad(y.sum(), leaves, allow_unused=True, retain_graph=True)
        by_x.append(found[0])
        assert bool((network.grad == 7).all()) != expected
    assert torch.equal(*by_x)


def test_parameters_that_changed_before_the_gradient_are_noticed():
    network = build()
    y = network("net", torch.ones(3, 64, 4))
    network.theta.detach().add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        network.backward(y.mean((1, 2)))


def test_a_step_before_the_gradient_is_noticed():
    network = build()
    y = network("net", torch.ones(3, 64, 4))
    Adam(network).step(0.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        network.backward(y.mean((1, 2)))


def test_a_pass_is_differentiated_once():
    network = build()
    x = draw(3, 5, 4).requires_grad_()
    (slope,) = torch.autograd.grad(network("net", x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(slope.sum(), x)


# --- Adam


def learn(network: Network, n_steps: int, max_norm: float | None = 0.5, **options: Any) -> Adam:
    """Steps along gradients of very different length."""
    optimizer = Adam(network, **options)
    for t in range(n_steps):
        network.grad.copy_(10.0 ** (t % 5 - 3) * gradient(network, t))
        network.grad[:, network.n_parameters :] = 0
        optimizer.step(0.01 / (1 + t), None, max_norm)
    return optimizer


def gradient(network: Network, t: int) -> Tensor:
    """Every seed has its own, whatever its neighbours."""
    return torch.cat([draw(1, network.grad.shape[1], dtype=network.grad.dtype, seed=t)] * network.n_seeds)


@pytest.mark.parametrize("max_norm", [None, 0.5])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("eps", [1e-5, 1e-8])
def test_steps_are_pytorchs(
    dtype: torch.dtype, max_norm: float | None, eps: float, monkeypatch: pytest.MonkeyPatch
):
    network = build(dtype=dtype)
    other = plain(network, monkeypatch)
    ours, theirs = (learn(each, 20, max_norm, eps=eps) for each in (network, other))
    assert_close(network.theta.detach(), other.theta.detach(), dtype)
    for found, true in zip((*ours._moments, network.grad), (*theirs._moments, other.grad), strict=True):
        torch.testing.assert_close(found, true, rtol=10 * DTYPES[dtype], atol=DTYPES[dtype] ** 2)
    assert ours._counts.tolist() == theirs._counts.tolist() == [20] * 3


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_norms_are_those_before_clipping(dtype: torch.dtype):
    network = build(dtype=dtype)
    network.grad.copy_(draw(*network.grad.shape, dtype=dtype) * torch.tensor([[1e-3], [1.0], [100.0]]))
    before = network.grad.clone()
    norms = Adam(network).step(0.0, None, 0.5)
    torch.testing.assert_close(norms, before.norm(dim=1), rtol=DTYPES[dtype], atol=0)
    assert torch.equal(network.grad[0], before[0])  # short enough
    assert network.grad[1:].norm(dim=1).tolist() == pytest.approx([0.5, 0.5], rel=1e-4)
    torch.testing.assert_close(network.grad[2] / network.grad[2].norm(), before[2] / before[2].norm())
    network.grad.copy_(before)
    torch.testing.assert_close(Adam(network).step(0.0), norms, rtol=0, atol=0)
    assert torch.equal(network.grad, before)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_seed_alone_learns_as_among_others(dtype: torch.dtype):
    """Twenty passes and steps, to the last bit."""

    def trained(seeds: Sequence[int]) -> Tensor:
        network = build((4, 33, 20, 2), dtype=dtype, seeds=seeds)
        optimizer = Adam(network)
        for t in range(20):
            x = torch.stack([draw(37, 4, dtype=dtype, seed=1000 * k + t) for k in seeds])
            optimizer.backward(network("net", x).square().sum(-1).mean(1))
            optimizer.step(0.01, None, 0.1)
        return network.theta.detach()

    whole = trained(SEEDS)
    for k in SEEDS:
        assert torch.equal(trained([k])[0], whole[k])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_in_its_seed_and_freezes_it(bad: float):
    """In a weight: of outputs and gradients only seed 1's are affected, and it takes no step."""
    sound, network = build(), build()
    network.theta.detach()[1, part(network, "net").stop - 10] = bad  # of the last layer
    x, weight = draw(3, 49, 4), draw(3, 49, 2)
    true, found = passed(sound, x, weight), passed(network, x, weight)
    others = torch.tensor([0, 2])
    for name in true:
        assert torch.equal(found[name][others], true[name][others])
    assert not found["theta"][1].isfinite().all()
    optimizer, reference = Adam(network), Adam(sound)
    before = network.theta.detach().clone()
    optimizer.step(0.1, None, 0.5)
    reference.step(0.1, None, 0.5)
    assert optimizer.alive.tolist() == [True, False, True]
    assert torch.equal(network.theta[others], sound.theta[others])
    assert torch.equal(network.theta[1].nan_to_num(5), before[1].nan_to_num(5))
    assert [moment[1].count_nonzero().item() for moment in optimizer._moments] == [0, 0]
    assert optimizer._counts.tolist() == [1, 0, 1]
    network.grad.fill_(1)
    optimizer.step(0.1, None, 0.5)  # for ever
    assert optimizer._counts.tolist() == [2, 0, 2]
    assert torch.equal(network.theta[1].nan_to_num(5), before[1].nan_to_num(5))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_input_that_is_not_finite_stays_in_its_seed(bad: float):
    network = build()
    x, weight = draw(3, 49, 4), draw(3, 49, 2)
    true = passed(network, x, weight)
    x[1, 48, 3] = bad
    found = passed(network, x, weight)
    for name in true:
        assert torch.equal(found[name][0], true[name][0]) and torch.equal(found[name][2], true[name][2])
    assert torch.equal(found["y"][1, :48], true["y"][1, :48])
    assert not found["theta"][1].isfinite().all()


@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
def test_activations_pass_what_is_no_number_on(activation: str):
    network = build((1, 20, 2), activation)
    x = draw(3, 4, 1)
    x[1, 2] = math.nan
    for found in (network("net", x).detach(), network.run("net", x)[0]):
        assert (
            found[1, 2].isnan().all() and not found[1, :2].isnan().any() and not found[[0, 2]].isnan().any()
        )


def test_a_gradient_of_a_seed_that_is_not_due_may_be_anything():
    network = build()
    optimizer = Adam(network)
    network.grad.fill_(1.0)
    network.grad[1] = math.nan
    before = network.theta.detach().clone()
    optimizer.step(0.1, torch.tensor([True, False, False]))
    assert optimizer.alive.all()
    assert optimizer._counts.tolist() == [1, 0, 0]
    assert torch.equal(network.theta[1:], before[1:]) and not torch.equal(network.theta[0], before[0])
    assert optimizer._moments[0][1:].count_nonzero() == 0


def test_only_seeds_that_are_due_step():
    """A seed's parameters are those that its own steps lead to; its neighbours' masks do not matter."""
    masks = [draw(3, seed=t) > 0 for t in range(20)]
    assert all(any(bool(mask[k]) for mask in masks) and not all(mask[k] for mask in masks) for k in SEEDS)
    network = build()
    optimizer = Adam(network)
    for t, due in enumerate(masks):
        network.grad.copy_(gradient(network, t))
        optimizer.step(0.01, due, 0.5)
    assert optimizer._counts.tolist() == [sum(int(mask[k]) for mask in masks) for k in SEEDS]
    for k in SEEDS:
        alone = build(seeds=[k])
        own = Adam(alone)
        for t, due in enumerate(masks):
            if due[k]:
                alone.grad.copy_(gradient(alone, t))
                own.step(0.01, None, 0.5)
        assert torch.equal(alone.theta[0], network.theta[k])
        assert all(torch.equal(a[0], b[k]) for a, b in zip(own._moments, optimizer._moments, strict=True))


def test_moments_that_are_next_to_nothing_become_zero():
    """Gradients end: the mean falls by 0.9 a step, below 1e-33 it is zero, and no number is subnormal."""
    network = build()
    optimizer = Adam(network)
    mean, square = optimizer._moments
    mean.fill_(2 * adam.NOTHING)
    mean[1].neg_()
    square.fill_(adam.NOTHING / 2)
    optimizer.step(0.0)
    assert square.count_nonzero() == 0
    assert mean[0].tolist() == pytest.approx([1.8e-33] * mean.shape[1], rel=1e-5, abs=0)
    assert mean[1].tolist() == pytest.approx([-1.8e-33] * mean.shape[1], rel=1e-5, abs=0)
    for _ in range(6):  # 0.9^6 * 1.8 = 0.957
        optimizer.step(0.0)
    assert mean.count_nonzero() == 0
    network.grad.fill_(-1e-16)  # a tenth of it is the mean, a thousandth of its square is nothing
    optimizer.step(0.0)
    assert mean.tolist()[0] == pytest.approx([-1e-17] * mean.shape[1], rel=1e-5, abs=0)
    assert square.count_nonzero() == 0


def test_a_view_of_rows_steps_on_its_own_memory():
    """A row of a larger network, whose rows lie further apart than its own are long."""
    network, alone = build(), build(seeds=[1])
    row = network.row(1)
    wide = torch.zeros(2, 3 * network.theta.shape[1])
    wide[:, : network.theta.shape[1]] = network.theta.detach()[:2]
    apart = network._view(wide[:, : network.theta.shape[1]])
    for each in (row, alone, apart):
        learn(each, 3)
    assert torch.equal(network.theta[1], alone.theta[0]) and torch.equal(row.theta, alone.theta)
    assert torch.equal(apart.theta[1], alone.theta[0])
    assert wide[:, network.theta.shape[1] :].count_nonzero() == 0


@pytest.mark.parametrize("rows", [passes.BLOCK - 1, passes.BLOCK, passes.BLOCK + 1, 3 * passes.BLOCK + 5])
def test_rows_go_through_in_blocks(rows: int, monkeypatch: pytest.MonkeyPatch):
    network = build((9, 40, 33, 70, 6))
    other = plain(network, monkeypatch)
    x = draw(3, rows, 9)
    with torch.no_grad():
        assert_close(network("net", x), other("net", x), torch.float32)
