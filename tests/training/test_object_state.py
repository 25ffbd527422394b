"""Live state as plain data and back: nothing is lost, nothing that does not fit is taken."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import Protocol
from torch import Tensor

from rlparity.buffers.replay import Replay
from rlparity.nn.networks import Network, mlp
from rlparity.nn.optimizers import Adam
from rlparity.training import object_state
from rlparity.transitions import Step


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit; NaN is NaN."""
    if isinstance(a, Tensor | np.ndarray):
        a, b = torch.as_tensor(a), torch.as_tensor(b)
        return a.dtype == b.dtype and torch.equal(a.nan_to_num(7.5), b.nan_to_num(7.5))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) or (a != a and b != b)


def through_a_file(state: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


class Holder:
    """Stands for an object of the package."""

    def __init__(self, value: Any):
        self.value = value


Holder.__module__ = Replay.__module__  # which knows the NamedTuple `Step`


def moved(old: Any, new: Any) -> Any:
    """The value of a holder that held `old` once it has taken over the state of one that holds `new`."""
    holder = Holder(old)
    object_state.restore(holder, through_a_file(object_state.capture(Holder(new))))
    return holder.value


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, 2),
        (0, 0.5),
        (None, 3),
        (None, None),
        ("a", "b"),
        (None, [1.5, None, "x"]),
        ([], [(1, 2), {"a": True}]),
        ((1, 2), (3, 4)),
        ({}, {"loss": torch.tensor([1.0, float("nan")])}),
        (torch.empty(0), torch.arange(6).view(2, 3)),
        (None, [Step(*torch.arange(6.0))]),
        ([{"a": 1}], [{"a": 2, "b": None}, {"a": 3, "b": "x"}]),
    ],
)
def test_values_come_back_as_they_were(old: Any, new: Any):
    value = moved(old, new)
    assert same(value, new) and type(value) is type(new)
    if isinstance(value, list) and value:
        assert type(value[0]) is type(new[0])


def test_arrays_and_tensors_are_filled_in_place_so_that_views_stay_views():
    whole, array = torch.zeros(2, 3), np.zeros(3)
    view = whole[1]
    assert moved([whole, array], [torch.ones(2, 3), np.arange(3.0)]) == [whole, array]
    assert view.tolist() == [1, 1, 1] and array.tolist() == [0, 1, 2]


def test_a_state_shares_no_memory_with_what_it_was_taken_from():
    holder = Holder([torch.zeros(2), np.zeros(2)])
    state = object_state.capture(holder)
    holder.value[0] += 1
    holder.value[1] += 1
    object_state.restore(holder, state)
    assert holder.value[0].tolist() == [0, 0] and holder.value[1].tolist() == [0, 0]


def test_generators_go_on_with_the_numbers_that_were_next():
    def pair() -> list[Any]:
        return [np.random.default_rng(5), torch.Generator().manual_seed(5)]

    used = pair()
    used[0].random(3), torch.rand(3, generator=used[1])
    state = object_state.capture(Holder(used))
    expected = used[0].random(), torch.rand(1, generator=used[1]).item()
    other = Holder(pair())
    object_state.restore(other, through_a_file(state))
    assert (other.value[0].random(), torch.rand(1, generator=other.value[1]).item()) == expected


def test_an_object_that_two_hold_is_one_afterwards():
    def network() -> Network:
        return Network({"q": mlp([2, 3, 1])}, [torch.Generator().manual_seed(1)])

    first, second = network(), network()
    second.theta.detach().add_(1)
    holder, other = Holder([first, Adam(first)]), Holder([second, Adam(second)])
    object_state.restore(holder, through_a_file(object_state.capture(other)))
    assert torch.equal(first.theta, second.theta)
    assert holder.value[1].network is first
    x = torch.ones(1, 4, 2)
    assert torch.equal(first("q", x), second("q", x))  # the layers are views into theta


def test_settings_are_left_out():
    state = (
        object_state.capture(Holder(torch.relu)),
        object_state.capture(Holder(Protocol())),
        object_state.capture(Holder(Step)),
    )
    assert all(parts == {} for _, _, parts in state)


def counter() -> Callable[[], int]:
    """A function that holds state."""
    count = 0
    return lambda: count


@pytest.mark.parametrize("value", [{1, 2}, object(), Path(), np.float32(1), [object()], counter()])
def test_an_attribute_of_an_unknown_kind_is_refused_by_name(value: Any):
    with pytest.raises(TypeError, match=r"^Holder\.value(\[0\])?: a checkpoint cannot hold .*\."):
        object_state.capture(Holder(value))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (torch.zeros(2, 3), torch.zeros(1, 3), r"shape \(1, 3\), expected .* shape \(2, 3\)"),
        (torch.zeros(2), torch.zeros(2).double(), "float64 .* expected torch.float32"),
        (np.zeros(2), np.zeros(3), r"shape \(3,\)"),
        (torch.zeros(2), None, "not the state of torch.Tensor"),
        (torch.zeros(2), [1.0, 2.0], "not the state of torch.Tensor"),
        (1, "one", "not the state of builtins.int"),
        ("one", 1, "not the state of builtins.str"),
        ([1], {"a": 1}, "not the state of builtins.list"),
        (np.random.default_rng(0), 3, "not the state of numpy"),
        ((1,), Step(*range(6)), "not the state of builtins.tuple"),
        (Replay(4, 1, 1), Holder(1), "not the state of rlparity.buffers.replay.Replay"),
        (None, Holder(1), "object that nobody holds"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(old: Any, new: Any, reason: str):
    with pytest.raises(object_state.Mismatch, match=f"^Holder.value: .*{reason}"):
        moved(old, new)


def test_a_missing_and_a_surplus_attribute_are_refused():
    state = object_state.capture(Holder(1))
    state[2]["other"] = 2
    with pytest.raises(object_state.Mismatch, match="Holder: the state has a surplus other"):
        object_state.restore(Holder(1), state)
    del state[2]["value"], state[2]["other"]
    with pytest.raises(object_state.Mismatch, match="Holder: the state lacks value"):
        object_state.restore(Holder(1), state)


def test_only_tuples_of_the_package_are_made_anew():
    for name in ("Popen", "torch", "Replay", "Nothing", "Step.__class__"):
        with pytest.raises(object_state.Mismatch, match="unknown kind of tuple"):
            object_state.restore(
                Holder(None), ("object", object_state._name(Holder(1)), {"value": ("tuple", name, [])})
            )
