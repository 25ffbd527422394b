"""Fingerprints: an edit changes those of exactly the cells whose numbers it can change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rlparity.cell import Cell, Protocol
from rlparity.provenance import definition_text, definitions, fingerprint, modules, source_code, user_modules

pytestmark = pytest.mark.probes

PPO = Cell("made-up", "CartPole-v1", "scratch", "ppo", "ppo", (0, 1), 4096)
DQN = replace(PPO, algorithm="dqn", agent="dqn")
SAC = replace(PPO, environment="Pendulum-v1", algorithm="sac", agent="sac")
PONG = replace(PPO, environment="ALE/Pong-v5@nature")
MINATAR = replace(PPO, environment="MinAtar/Breakout-v1")
CELLS = {
    "ppo": PPO,
    "ppo normalised": replace(PPO, normalize=True),
    "ppo continuous": replace(PPO, environment="Pendulum-v1"),
    "ppo on cuda": replace(PPO, device="cuda"),
    "ppo pong": PONG,
    "ppo sampled": replace(PPO, evaluation=Protocol(modes=("deterministic", "sampled"))),
    "ppo epsilon": replace(PPO, evaluation=Protocol(modes=("epsilon-0.05",))),
    "a2c": replace(PPO, algorithm="a2c", agent="a2c"),
    "trpo": replace(PPO, algorithm="trpo", agent="trpo"),
    "dqn": DQN,
    "dqn pong": replace(DQN, environment="ALE/Pong-v5@nature"),
    "dqn prioritized": replace(DQN, algorithm="dqn-prioritized", hyperparameters={"prioritized": True}),
    "dqn dueling": replace(DQN, algorithm="dqn-dueling", hyperparameters={"dueling": True}),
    "sac": SAC,
    "random": replace(PPO, algorithm="random", agent="random"),
    "sb3 ppo": replace(PPO, implementation="sb3", seeds=(0,)),
    "sb3 sac": replace(SAC, implementation="sb3", seeds=(0,)),
    "sb3 pong": replace(PONG, implementation="sb3", seeds=(0,)),
    "ppo minatar": MINATAR,
    "dqn minatar": replace(DQN, environment="MinAtar/Breakout-v1"),
    "sb3 minatar": replace(MINATAR, implementation="sb3", seeds=(0,)),
}
ALL = set(CELLS)
SB3 = {name for name in CELLS if name.startswith("sb3")}
OURS = ALL - SB3
PONGS = {name for name in CELLS if "pong" in name}
MINATARS = {name for name in CELLS if "minatar" in name}
PENDULUM = {"ppo continuous", "sac", "sb3 sac"}
CARTPOLE = ALL - PONGS - MINATARS - PENDULUM
DQNS = {name for name in CELLS if name.startswith("dqn")}
ON_POLICY = {name for name in OURS if name.startswith("ppo")} | {"a2c", "trpo"}
KERNEL = OURS - PONGS - MINATARS - {"random", "ppo on cuda"}  # whose networks the kernel computes
Edit = Callable[..., None]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Change a file of a copy of the package, of which fingerprints are then taken."""
    copy = tmp_path / "rlparity"
    shutil.copytree(source_code.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(source_code, "PACKAGE", copy)

    def forget() -> None:
        for cached in (source_code.path, source_code.tree, source_code.fields, modules.module):
            cached.cache_clear()
        for cached in (definition_text.definition, definitions.reached, definitions.digest):
            cached.cache_clear()
        fingerprint._kernel.cache_clear()

    def change(name: str, *pairs: tuple[str, str], append: str = "", every: bool = False) -> None:
        file = copy / name
        text = file.read_text() if file.exists() else ""
        for old, new in pairs:
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new) if every else text.replace(old, new, 1)
        file.write_text(text + append)
        forget()

    forget()
    yield change
    forget()


def prints() -> dict[str, str]:
    return {name: fingerprint.of(cell) for name, cell in CELLS.items()}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """The fingerprints of the package as it is."""
    return prints()


def changed(before: dict[str, str]) -> set[str]:
    return {name for name, value in prints().items() if value != before[name]}


EDITS = {  # file, text, new text, the cells that it concerns
    "GAE": ("objectives/targets.py", "delta = (reward +", "delta = 1 * (reward +", ON_POLICY),
    "TD target": (
        "objectives/targets.py",
        "bootstrap = next_q.amax(-1)",
        "bootstrap = next_q.amin(-1)",
        DQNS,
    ),
    "clipped objective": (
        *("agents/policy_gradient/ppo.py", "torch.min(ratio * adv", "torch.max(ratio * adv"),
        {name for name in ON_POLICY if name.startswith("ppo")},
    ),
    "a default": ("agents/policy_gradient/a2c.py", "gamma: float = 0.99", "gamma: float = 0.9", {"a2c"}),
    "replay memory": ("buffers/replay.py", "ring[:, start :", "ring[:, 0 + start :", DQNS | {"sac"}),
    "a sampler": (
        "buffers/replay.py",
        "return Minibatch(self.memory.at(",
        "return Minibatch(1 * self.memory.at(",
        DQNS,
    ),
    "priorities": ("buffers/prioritized.py", "** -correction", "** +correction", {"dqn prioritized"}),
    "frames": ("buffers/frame_replay.py", "STACK = 4", "STACK = 5", {"dqn pong"}),
    "dueling": ("nn/q_networks.py", "- advantage.mean(-1", "- 2 * advantage.mean(-1", {"dqn dueling"}),
    "convolutions": ("nn/convolutions.py", "WHITE = 255", "WHITE = 256", PONGS - {"sb3 pong"}),
    "small images": (
        "nn/small_convolutions.py",
        "UNITS = 16, 3, 128",
        "UNITS = 16, 3, 64",
        MINATARS - {"sb3 minatar"},
    ),
    "SB3's small images": ("references/sb3_small_images.py", "16, 3, 128", "16, 3, 64", {"sb3 minatar"}),
    "MinAtar": ("environments/minatar/game.py", "cut = self._steps >=", "cut = self._steps >", MINATARS),
    "whole images": ("buffers/whole_images.py", "(capacity, n_s", "(2 * capacity, n_s", {"dqn minatar"}),
    "what chooses a part": ("buffers/replay.py", "spec.obs_shape)(*size", "(4,))(*size", set()),
    "what chooses a reference": ("references/sb3_models.py", "space.shape or ())(", "space.shape)(", set()),
    "Gaussian policy": (
        "nn/distributions/gaussian.py",
        "def log_prob(",
        "def log_prob(more=0, *, ",
        {"ppo continuous", "sac", "trpo"},
    ),
    "Fisher product": ("nn/fisher.py", "return jacobian.pull(", "return 2 * jacobian.pull(", {"trpo"}),
    "normalisation": (
        "environments/normalization.py",
        "CLIP, EPSILON = 10.0",
        "CLIP, EPSILON = 9.0",
        {"ppo normalised"},
    ),
    "device": (
        "training/device_placement.py",
        "action = found.cpu()",
        "action = found.cpu() + 1",
        {"ppo on cuda"},
    ),
    "epsilon": ("training/epsilon_greedy.py", "explore[..., 0] <", "explore[..., 0] <=", {"ppo epsilon"}),
    "Adam": ("nn/optimizers.py", '"beta2": 0.999', '"beta2": 0.99', OURS - {"random"}),
    "optimiser of another": ("nn/optimizers.py", "square.mul_(self._alpha)", "square.mul_(1)", {"a2c"}),
    "the kernel's Adam": ("nn/kernel/adam.py", "1 - 0.999**count", "1 - 0.99**count", KERNEL),
    "the kernel's passes": (
        "nn/kernel/passes.py",
        "slope = activation + 2",
        "slope = activation + 1",
        KERNEL,
    ),
    "the kernel's tanh": ("nn/kernel/products.py", "2.26843463243900e-03", "2.26843463243901e-03", KERNEL),
    "a tile of the kernel": ("nn/kernel/tiles.py", "[0.0] * kind.lanes", "[1.0] * kind.lanes", KERNEL),
    "the width of vectors": ("nn/kernel/llvm_ir.py", "BYTES = 64", "BYTES = 32", KERNEL),
    "an operator of vectors": (
        "nn/kernel/vectors.py",
        '(operator.sub, "fsub")',
        '(operator.sub, "fadd")',
        KERNEL,
    ),
    "how the kernel is called": (
        "nn/kernel/stack.py",
        "float(max_norm or 0)",
        "float(max_norm or 1)",
        KERNEL,
    ),
    "a comment in the kernel": ("nn/kernel/adam.py", '"""Clipping and Adam', '"""Adam', set()),
    "where compiled functions are kept": ("compilation.py", "hexdigest()[:16]", "hexdigest()[:8]", set()),
    "our loop": ("training/loop.py", "training.env_step += env", "training.env_step += 1 * env", OURS),
    "evaluation": (
        "training/evaluation.py",
        "live[s, n] = (total, length), False",
        "live[s, n] = (length, total), False",
        ALL,
    ),
    "streams": ("seeding.py", "CHUNK = 128", "CHUNK = 64", ALL),
    "CartPole": ("environments/cartpole.py", "GRAVITY, MASS_POLE", "GRAVITY , MASS_POLES", set()),
    "gravity": ("environments/cartpole.py", "= 9.8, 0.1, 1.1, 0.5", "= 9.81, 0.1, 1.1, 0.5", CARTPOLE),
    "SB3's arguments": ("references/sb3.py", "log_interval=budget", "log_interval=budget + 1", SB3),
    "SB3's Atari": ("references/sb3_atari.py", "frameskip=1", "frameskip=4", {"sb3 pong"}),
    "an unused function": (
        "objectives/targets.py",
        "def rewards_to_go(reward: Tensor, gamma",
        "def rewards_to_go(reward: Tensor, g",
        set(),
    ),
    "writing": ("records.py", 'compression="zstd"', 'compression="snappy"', set()),
    "rows": ("training/rows.py", "env_step <= cell.budget", "env_step < cell.budget", ALL),
    "what is evaluated": (
        "training/loop.py",
        "evaluator(training.agent, view, training.point)",
        "evaluator(training.agent, view, 0)",
        OURS,
    ),
    "the clock of rows": ("training/recorder.py", "wall = self.elapsed_s", "wall = 0.0", set()),
    "timing": ("training/run.py", "time.perf_counter() - started", "time.perf_counter() - 0", set()),
    "checkpoints": ("training/checkpointing.py", "FORMAT = 2", "FORMAT = 3", set()),
    "resuming": ("references/sb3_resume.py", '"point": self', '"points": self', set()),
    "capturing state": ("buffers/rollout.py", '"steps": [torch.stack', '"step": [torch.stack', set()),
    "display": ("runs/progress.py", "BEAT_S, LINE_S = 1.0", "BEAT_S, LINE_S = 2.0", set()),
    "departures": ("agents/policy_gradient/ppo.py", '"gradient norms clipped"', '"others"', set()),
    "annotations": (
        "objectives/targets.py",
        "    gamma: float,\n    lam: float,",
        "    gamma: int,\n    lam: int,",
        set(),
    ),
    "tables": ("analysis/tables.py", "import ", "import os, ", set()),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_concerns_exactly_the_cells_that_it_should(
    edit: Edit, before: dict[str, str], name: str
) -> None:
    file, old, new, concerned = EDITS[name]
    if name == "CartPole":  # a local rename of a constant and of its uses, which is no change
        old, new = "TIME_LIMIT", "LONGEST"
    edit(file, (old, new), every=name == "CartPole")
    assert changed(before) == concerned


def test_docstrings_comments_layout_and_aliases_do_not_count(edit: Edit, before: dict[str, str]) -> None:
    edit("training/loop.py", ('"""', '"""Other words. '), append="\n\n# a comment\n")
    edit(
        "objectives/targets.py",
        ("    assert reward.shape == value.shape", "    # why\n    assert  reward.shape == value.shape"),
    )
    edit(
        "agents/policy_gradient/ppo.py",
        (
            "from rlparity.objectives import schedules, targets",
            "from rlparity.objectives import schedules\nfrom rlparity.objectives import targets as maths",
        ),
    )
    edit("agents/policy_gradient/ppo.py", ("targets.", "maths."), every=True)
    assert not changed(before)


def test_a_definition_may_move_and_get_another_name(edit: Edit, before: dict[str, str]) -> None:
    path = source_code.PACKAGE / "objectives/targets.py"
    text = path.read_text()
    start = text.index("def explained_variance(")
    end = text.index("\n\n\n", start)
    edit(
        "objectives/statistics.py", append=f"import torch\nfrom torch import Tensor\n\n\n{text[start:end]}\n"
    )
    edit("objectives/statistics.py", ("def explained_variance", "def share_explained"))
    edit(
        "objectives/targets.py",
        (text[start:end], "from rlparity.objectives.statistics import share_explained"),
    )
    edit("agents/policy_gradient/ppo.py", ("targets.explained_variance", "targets.share_explained"))
    edit("agents/policy_gradient/trpo.py", ("targets.explained_variance", "targets.share_explained"))
    assert not changed(before)
    edit("objectives/statistics.py", ("spread > 0", "spread >= 0"))
    assert changed(before) == ON_POLICY - {"a2c"}


def test_statements_that_define_nothing_belong_to_every_definition_of_their_module(
    edit: Edit, before: dict[str, str]
) -> None:
    edit("environments/cartpole.py", append="\nnp.seterr(all='raise')\n")
    assert changed(before) == CARTPOLE


def test_a_local_name_hides_a_global_one(edit: Edit) -> None:
    edit(
        "helper.py",
        append="VALUE = 1\n\n\ndef one(VALUE):\n    return VALUE\n\n\ndef two():\n    return VALUE\n",
    )
    one, two = definitions.digest(("rlparity.helper:one",)), definitions.digest(("rlparity.helper:two",))
    edit("helper.py", ("VALUE = 1", "VALUE = 2"))
    assert definitions.digest(("rlparity.helper:one",)) == one
    assert definitions.digest(("rlparity.helper:two",)) != two


@pytest.mark.parametrize(
    "body",
    [
        "def f():\n    from rlparity import helper\n    return helper.VALUE",
        "def f():\n    from .. import helper\n    return helper.VALUE",
        "import rlparity.helper\n\n\ndef f():\n    return rlparity.helper.VALUE",
        "from rlparity.helper import VALUE as other\n\n\ndef f():\n    return [x for x in range(other)]",
        "from rlparity import helper\n\n\nclass f:\n    value = helper.VALUE",
        "from rlparity import helper\n\n\ndef f(value=helper.VALUE):\n    return value",
        "from rlparity import helper\n\n\n@helper.decorate\ndef f():\n    return 1",
        "from rlparity import helper\n\n\ndef f():\n    return helper",
        "from rlparity.helper import VALUE\n\n\nclass f:\n    VALUE = VALUE",
        "from rlparity.helper import VALUE\n\n\ndef f():\n    return [VALUE for VALUE in range(VALUE)]",
        "from rlparity.helper import VALUE\n\n\ndef g():\n    return f\n\n\ndef f():\n    return g, VALUE",
    ],
)
def test_every_way_to_refer_to_a_definition_is_followed(edit: Edit, body: str) -> None:
    edit("helper.py", append="VALUE = 1\n\n\ndef decorate(x, y=VALUE):\n    return x\n")
    edit("agents/user.py", append=body + "\n")
    before = definitions.digest(("rlparity.agents.user:f",))
    edit("helper.py", ("VALUE = 1", "VALUE = 2"))
    assert definitions.digest(("rlparity.agents.user:f",)) != before


def test_imports_for_type_checkers_and_unknown_names() -> None:
    with pytest.raises(LookupError, match=r"rlparity\.cell defines no Nothing"):
        definitions.digest(("rlparity.cell:Nothing",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("try:\n    from rlparity import cell\nexcept ImportError:\n    cell = None\n", "inside another"),
        ("from rlparity.cell import Cell\n\nCell = print(Cell)\n", "imported and defined as well: Cell"),
        ("from rlparity import registry\n\n\ndef f(name):\n    return registry.part(name)\n", "literal name"),
        (
            'from rlparity.registry import part\n\n\ndef f():\n    return part(name="device")\n',
            "literal name",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(edit: Edit, text: str, reason: str) -> None:
    edit("agents/user.py", append=text)
    with pytest.raises(ValueError, match=reason):
        definitions.digest(("rlparity.agents.user",))


def test_no_module_of_the_package_has_effects_when_it_is_imported() -> None:
    """Statements of modules that are imported for their effect alone would be lost."""
    names = (path.relative_to(source_code.PACKAGE.parent) for path in source_code.PACKAGE.rglob("*.py"))
    found = {".".join(name.with_suffix("").parts).removesuffix(".__init__") for name in names}
    effects = {name for name in found if modules.module(name).other}
    apart = (
        "__main__",
        "cli.",
        "suites.",
        "reporting.",
        "validation.",
        "shipped_records.",
        "analysis.checks.",
    )
    own = {name for name in effects if not name.removeprefix("rlparity.").startswith(apart)}
    registries = {"rlparity.environments.atari", "rlparity.references.sb3_atari"}  # Gymnasium's
    assert own == registries | {"rlparity.nn.kernel.vectors"}  # Numba's; the kernel counts whole


def test_methods_for_checkpoints_are_left_out_where_there_is_a_pair(
    edit: Edit, before: dict[str, str]
) -> None:
    edit("buffers/rollout.py", ('"steps": [torch.stack', '"step": [torch.stack'))
    assert not changed(before)
    edit("buffers/rollout.py", ("def resume(self", "def resumed(self"))
    assert changed(before) == ON_POLICY


def test_a_default_of_the_settings_counts_as_an_option(edit: Edit) -> None:
    assert "prioritized" not in fingerprint.used(DQN)
    edit("agents/value_based/dqn.py", ("prioritized: bool = False", "prioritized: bool = True"))
    assert "prioritized" in fingerprint.used(DQN)


def test_a_module_of_a_user_counts_with_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gymnasium finds its classes by strings."""
    monkeypatch.syspath_prepend(str(tmp_path))
    text = '"""Words."""\n\n\nclass Easy:\n    steps = 1\n\n\nclass Hard:\n    steps = 9\n'
    texts = [
        text,
        text.replace("Words", "Others") + "# more\n",
        text.replace("Easy", "X").replace("Hard", "Easy"),
    ]
    hashes = []
    for content in texts:
        (tmp_path / "their_environments.py").write_text(content)
        for cached in (source_code.path, source_code.tree):
            cached.cache_clear()
        hashes.append(definitions.whole_module("their_environments"))
    assert hashes[0] == hashes[1] != hashes[2]


THEIRS = {
    "theirs_here.py": """
import gymnasium as gym
from theirs_parts.env import Theirs
gym.register("TheirsHere-v0", Theirs, max_episode_steps=30)
""",
    "theirs_parts/__init__.py": "",
    "theirs_parts/env.py": """
import numpy as np
import gymnasium as gym
from . import rewards
class Theirs(gym.Env):
    observation_space = gym.spaces.Box(0, 1, (2,))
    action_space = gym.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}
    def step(self, action):
        from theirs_helper import SCALE
        return np.zeros(2, np.float32), rewards.REWARD * SCALE, False, False, {}
""",
    "theirs_parts/rewards.py": "REWARD = 1.0\n",
    "theirs_parts/unused.py": "REWARD = 1.0\n",
    "theirs_helper.py": "import scipy.stats\nSCALE = 2.0\n",
}


def test_modules_that_a_users_environment_imports_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "theirs_parts").mkdir()
    for name, text in THEIRS.items():
        (tmp_path / name).write_text(text)
    cell = replace(PPO, environment="theirs_here:TheirsHere-v0")

    def taken() -> str:
        for cached in (source_code.path, source_code.tree):
            cached.cache_clear()
        return fingerprint.of(cell)

    before = taken()
    for name, text in THEIRS.items():
        (tmp_path / name).write_text(text + "more = 1\n")
        assert (taken() == before) == (name == "theirs_parts/unused.py"), name
        (tmp_path / name).write_text(text + "# more\n")
        assert taken() == before
    monkeypatch.setattr(user_modules.metadata, "version", lambda name: "0.0.1")  # of SciPy
    assert taken() != before


def test_code_that_trains_a_candidate_counts_for_it(edit: Edit) -> None:
    cell = replace(PPO, implementation="theirs", seeds=(0,), candidate={"entry": "json:load"})
    before = fingerprint.of(cell)
    edit("candidates/entry_point.py", ("self._point += 1", "self._point += 2"))
    assert fingerprint.of(cell) != before


def test_star_imports_are_refused(edit: Edit) -> None:
    edit("agents/user.py", append="from rlparity.cell import *\n\n\ndef f():\n    return Cell\n")
    with pytest.raises(ValueError, match="hides what is imported"):
        definitions.digest(("rlparity.agents.user:f",))


def test_constants_of_different_kinds_differ(edit: Edit) -> None:
    found = set()
    for number, value in enumerate(["1", "1.0", "True", "'1'", "None", "b'1'"]):
        edit(f"value{number}.py", append=f"X = {value}\n")
        found.add(definitions.digest((f"rlparity.value{number}:X",)))
    assert len(found) == 6


def test_ppo_on_cartpole_depends_on_fewer_than_1000_lines() -> None:
    """Besides the kernel."""
    assert definitions.lines(fingerprint.roots(PPO), fingerprint.used(PPO)) < 1000


def test_the_kernel_computes_our_agents_without_images_on_a_cpu() -> None:
    assert {name for name, cell in CELLS.items() if fingerprint.computed_by_kernel(cell)} == KERNEL
    theirs = replace(PPO, implementation="theirs", seeds=(0,), candidate={"entry": "json:load"})
    assert not fingerprint.computed_by_kernel(theirs)


def test_a_module_more_or_less_in_the_kernel_counts(edit: Edit, before: dict[str, str]) -> None:
    edit("nn/kernel/more.py", append="MORE = 1\n")
    assert changed(before) == KERNEL


def test_versions_count_without_their_local_part(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"torch": "2.13.0+cpu"}
    monkeypatch.setattr(fingerprint, "installed", lambda name: installed.get(name, "1.0"))
    fingerprint.version.cache_clear()
    before = fingerprint.of(PPO)
    without_kernel = {"torch": "2.13.0", "numpy": "1.0", "gymnasium": "1.0"}
    assert fingerprint.parts(CELLS["random"])["versions"] == without_kernel
    assert fingerprint.parts(PPO)["versions"] == {**without_kernel, "numba": "1.0"}
    assert "numba" not in fingerprint.parts(CELLS["dqn pong"])["versions"]
    assert "mujoco" in fingerprint.parts(replace(PPO, environment="Hopper-v5"))["versions"]
    assert "stable_baselines3" in fingerprint.parts(CELLS["sb3 ppo"])["versions"]
    installed["torch"] = "2.13.0"
    fingerprint.version.cache_clear()
    assert fingerprint.of(PPO) == before
    installed["torch"] = "2.14.0"
    fingerprint.version.cache_clear()
    assert fingerprint.of(PPO) != before
    fingerprint.version.cache_clear()


def test_stages_know_their_own_sources_and_the_report_its_templates(edit: Edit) -> None:
    def stages() -> dict[str, str]:
        return {name: fingerprint.stage(name) for name in fingerprint.STAGES}

    before = stages()
    edit("reporting/templates/style.css", append="\n/* wider */\n")
    assert {name for name, value in stages().items() if value != before[name]} == set(fingerprint.PAGES)
    before = stages()
    edit("reporting/figures/draw.py", append="\nADDED = 1\n")
    assert {name for name, value in stages().items() if value != before[name]} == {"draw"}
    for file, old, new in (
        ("analysis/decisions/looks.py", "WORDS = {", "WORDS = {-1: '', "),
        ("analysis/verdicts.py", "ALPHA = 0.05", "ALPHA = 0.06"),
        ("analysis/group_sequential/design.py", "ALPHA = 0.05", "ALPHA = 0.06"),
        ("analysis/live_checks.py", "LEVEL = 0.999", "LEVEL = 0.99"),
    ):
        before = stages()
        edit(file, (old, new))
        assert stages()["analyse"] != before["analyse"], file


def test_differences_name_what_changed(edit: Edit) -> None:
    parts = fingerprint.parts(PPO)
    run = {
        "cell": json.loads(PPO.to_json()),
        "versions": {**parts["versions"], "torch": "2.1.0+cpu", "pandas": "0.1"},
        "source_hash": fingerprint.source_hash(PPO),
        "definitions": fingerprint.own_hashes(PPO),
    }
    assert fingerprint.differences(PPO, parts, run) == [f"torch is {parts['versions']['torch']}, was 2.1.0"]
    run["versions"] = parts["versions"]
    run["cell"]["hyperparameters"] = {"gamma": 0.5}
    other = replace(PPO, hyperparameters={"gamma": 0.9}, budget=8192)
    assert fingerprint.differences(other, fingerprint.parts(other), run) == [
        "budget is 8192, was 4096",
        "hyperparameters.gamma is 0.9, was 0.5",
    ]
    run["cell"] = json.loads(PPO.to_json())
    edit("objectives/targets.py", ("delta = (reward +", "delta = 1 * (reward +"))
    now = fingerprint.parts(PPO)
    culprit = "the sources changed: rlparity.objectives.targets.gae"
    assert fingerprint.differences(PPO, now, run) == [culprit]
    edit("nn/kernel/adam.py", ("NOTHING = 1e-33", "NOTHING = 1e-32"))
    found = fingerprint.differences(PPO, fingerprint.parts(PPO), run)
    assert found == [f"{culprit}, rlparity.nn.kernel"]
