"""What every agent keeps to: frozen seeds, saved parameters, declared departures and a page of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import probes
import pytest
import torch
from small import CONFIGURATIONS, CONTINUOUS, build, stream

from rlparity.agents import base as agents
from rlparity.suites import hyperparameters

LEARNERS = [name for name in CONFIGURATIONS if name != "random"]
STOCHASTIC = [name for name in LEARNERS if name not in CONTINUOUS and not probes.values_actions(build(name))]
SHORT = {
    "ppo": {"n_steps": 8, "batch_size": 8, "n_epochs": 2},
    "dqn": {"learning_starts": 8, "net_arch": (128, 128)},
    "qrdqn": {"learning_starts": 8, "net_arch": (128, 128), "n_quantiles": 8},
    "trpo": {"n_steps": 8, "batch_size": 8, "n_critic_updates": 2},
    "ddpg": {"learning_starts": 8, "net_arch": (128, 128), "batch_size": 16},
    "td3": {"learning_starts": 8, "net_arch": (32,), "batch_size": 16},
    "sac": {"learning_starts": 8, "net_arch": (32,), "batch_size": 16},
    "reinforce": {"n_episodes": 2},
    "actor_critic": {"n_episodes": 2},
}


def short(algorithm: str, **options: Any) -> Any:
    agent = hyperparameters.library().algorithms[algorithm].agent
    return build(algorithm, n_seeds=3, n_envs=2, **{**SHORT.get(agent, {}), **options})


@pytest.mark.probes
@pytest.mark.parametrize("algorithm", LEARNERS)
def test_a_seed_whose_loss_is_not_finite_is_frozen_alone(algorithm: str):
    """Seed 1 is paid NaN from step 40 on; it keeps the parameters it had, and the others never notice."""
    sick, healthy = short(algorithm), short(algorithm)
    for t, step in enumerate(stream(3, 2, 120, continuous=algorithm in CONTINUOUS)):
        healthy.observe(step)
        if t >= 40:
            step = step._replace(reward=step.reward.clone().index_fill_(0, torch.tensor(1), torch.nan))
        if sick.alive.all():
            kept = {name: value[1].clone() for name, value in agents.state_dict(sick).items()}
        sick.observe(step)
    assert sick.alive.tolist() == [True, False, True] and healthy.alive.all()
    for name, value in agents.state_dict(sick).items():
        assert torch.equal(value[[0, 2]], agents.state_dict(healthy)[name][[0, 2]])
        assert not torch.equal(value[0], value[2])
        assert torch.equal(value[1], kept[name]) or algorithm == "ppo"  # in mid-epoch
        assert value.isfinite().all()


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_saved_parameters_act_as_they_did(algorithm: str):
    agent, other = short(algorithm), short(algorithm)
    for step in stream(3, 2, 60, continuous=algorithm in CONTINUOUS):
        agent.observe(step)
    obs = torch.randn(3, 50, 2, generator=torch.Generator().manual_seed(1))
    agents.load_state_dict(other, {name: value.clone() for name, value in agents.state_dict(agent).items()})
    assert torch.equal(other.act(obs), agent.act(obs))


@pytest.mark.parametrize("algorithm", STOCHASTIC)
def test_a_fresh_policy_is_all_but_even(algorithm: str):
    """The last layer starts a hundred times smaller than the others."""
    agent = short(algorithm)
    obs = torch.randn(3, 200, 2, generator=torch.Generator().manual_seed(1))
    chance = torch.softmax(probes.actor(agent)("actor", obs), -1)
    assert chance.min() > 0.49 and chance.max() < 0.51 and chance.std() > 0


@pytest.mark.parametrize("algorithm", CONFIGURATIONS)
def test_departures_are_listed_in_the_docstring_and_as_data(algorithm: str):
    room = agents.module(hyperparameters.library().algorithms[algorithm].agent)
    assert "Departures from the" in room.__doc__
    assert bool(room.DEPARTURES) == ("none" not in room.__doc__.split("Departures")[1])


# --- a page for each, in docs/agents

PAGES = Path(__file__).parents[2] / "docs" / "agents"
AGENTS = sorted({hyperparameters.library().algorithms[name].agent for name in CONFIGURATIONS})


def section(agent: str, title: str) -> list[str]:
    """Lines of one section of an agent's page."""
    text = (PAGES / f"{agent.replace('_', '-')}.md").read_text()
    (body,) = [part for part in text.split("\n## ")[1:] if part.startswith(f"{title}\n")]
    return body.splitlines()[1:]


def table(lines: list[str]) -> list[list[str]]:
    """The rows of the one table among the lines."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [*cells[:1], *cells[2:]]


def test_every_agent_has_a_page():
    assert sorted(path.stem.replace("-", "_") for path in PAGES.glob("*.md")) == AGENTS


@pytest.mark.parametrize("agent", AGENTS)
def test_a_page_declares_the_departures_that_reports_print(agent: str):
    declared = [line[2:] for line in section(agent, "Declared departures") if line.startswith("- ")]
    assert declared == agents.module(agent).DEPARTURES


@pytest.mark.parametrize("agent", AGENTS)
def test_a_page_explains_every_hyper_parameter_with_its_default(agent: str):
    fields = dataclasses.fields(agents.settings(agent))
    rows = table(section(agent, "Hyper-parameters"))[1:] if fields else []
    defaults = [list(f.default) if isinstance(f.default, tuple) else f.default for f in fields]
    assert [row[:2] for row in rows] == [
        [f"`{f.name}`", f"`{default}`"] for f, default in zip(fields, defaults, strict=True)
    ]
    assert all(len(row[2]) > 1 for row in rows)


@pytest.mark.parametrize("agent", [agent for agent in AGENTS if agent != "random"])
def test_a_page_shows_probe_results_that_a_probe_would_pass(agent: str):
    named = [name for name in CONFIGURATIONS if hyperparameters.library().algorithms[name].agent == agent]
    header, *rows = table(section(agent, "Probe results"))
    assert header == ["probe", "quantity", "truth", *(f"`{name}`" for name in named)]
    for column, name in enumerate(named, 3):
        shown = [row for row in rows if row[column] != "-"]
        assert {row[0] for row in shown} == {probe for probe in probes.PROBES if probes.applies(name, probe)}
        for probe, quantity, truth, *learned in shown:
            reading = probes.Reading(quantity, float(truth), [float(learned[column - 3])])
            assert reading.error <= probes.tolerance(reading) + 0.005, (probe, reading)  # two decimals
