"""The environments as tools of reinforcement learning see them."""

import functools
import inspect
import json
from typing import Any

import equinox as eqx
import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

import plasticgym as pg
from plasticgym.envs._program import unpacked

SMALL = {"hidden": (4,), "batch": 8, "presentations": 6}
# Of a memory, so that it fits into such a life; of shards, so that they divide the batch.
SHORT = {"stored": 2, "delay": 1, "k": 2}
ROLES = {
    "you are the rule": {},
    "you steer a rule": {"rule": "blur", "presentations_per_action": 4},
    "you choose a genome": {"rule": "sgd"},
}
every_role = pytest.mark.parametrize("role", list(ROLES.values()), ids=list(ROLES))


def make(problem="Xor-v0", **options) -> Any:
    takes = inspect.signature(pg.envs.PROBLEMS[problem]).parameters
    sizes = {name: size for name, size in (SMALL | SHORT).items() if name in takes}
    return gymnasium.make(f"plasticgym/{problem}", **sizes | options)


def make_vec(num_envs, **options) -> Any:
    return gymnasium.make_vec("plasticgym/Xor-v0", num_envs=num_envs, **SMALL | options)


@functools.cache
def _live():
    return eqx.filter_jit(pg.envs.live)


def lived(rule, problem, task):
    """The life that the task is, in a problem of the same structure compiled once."""
    return _live()(rule, problem, key=jax.random.key(task))


def episode(env, policy, **reset):
    """Observations, rewards, and the last info of one episode."""
    seen, _ = env.reset(**reset)
    observations, rewards, over, info = [seen], [], False, {}
    while not over:
        seen, reward, over, truncated, info = env.step(policy(seen))
        assert not truncated
        observations.append(seen)
        rewards.append(reward)
    return observations, rewards, info


def life_of(env):
    return unpacked(env.role, env._episode).life


def random_actions(space, seed=0):
    rng = np.random.default_rng(seed)
    return lambda seen: rng.uniform(-1, 1, space.shape).astype(np.float32)


@pytest.mark.parametrize("options", [{}, {"rule": "sgd"}], ids=["rule", "steer"])
@pytest.mark.parametrize(
    "problem",
    [
        # What one of a kind obeys, its kin are almost sure to.
        pytest.param(name, marks=() if name in ("Wine-v0", "Xor-v0") else pytest.mark.slow)
        for name in pg.envs.PROBLEMS
        # Of the class of Wine or CartPole, with files or a library that may not be here.
        if "Mnist" not in name
        and name not in ("Ant-v0", "HalfCheetah-v0", "InvertedPendulum-v0", "Fast-v0")
    ],
)
def test_check_env(problem, options):
    check_env(make(problem, **options).unwrapped, skip_render_check=True)


@pytest.mark.slow
@pytest.mark.parametrize("rule", list(pg.rules.RULES))
def test_every_rule_can_be_steered(rule, home):
    where = home(
        pg.rules.make(rule), layered={}, recurrent={"problem": "Remember-v0", "hidden": 0}
    )
    env = make(rule=rule, presentations_per_action=3, **where)
    env.reset(seed=0)
    seen, reward, over, *_ = env.step(env.action_space.sample())
    assert seen in env.observation_space
    assert np.isfinite(reward)
    assert not over


@every_role
def test_what_gymnasium_asks_for(role):
    env = make(**role)
    check_env(env.unwrapped, skip_render_check=True)
    assert env.unwrapped.columns == env.unwrapped.role.columns
    assert env.observation_space.shape[-1] == len(env.unwrapped.columns)
    spec = EnvSpec.from_json(env.spec.to_json())
    again = gymnasium.make(spec)
    assert again.observation_space == env.observation_space
    assert again.action_space == env.action_space


@every_role
def test_the_return_telescopes(role):
    env = make(**role)
    _, rewards, info = episode(env, random_actions(env.action_space), seed=1)
    chance = env.unwrapped.role.problem.chance.loss
    expected = np.log(chance + 0.01) - np.log(info["loss"] + 0.01)
    assert np.isclose(sum(rewards), expected, atol=1e-5)
    assert 0 <= info["score"] <= 1
    assert info["diverged"] is False


def test_a_policy_that_is_gradient_descent_lives_like_sgd():
    env = make(tier="gradient", unit=0.5)
    column = env.unwrapped.columns.index("gradient")
    observations, rewards, info = episode(
        env, lambda seen: -0.3 / 0.5 * seen[:, column], options={"task": 7}
    )
    life = lived(pg.rules.SGD(rate=0.3), env.unwrapped.role.problem, 7)
    losses = np.asarray(life.losses)
    chance = env.unwrapped.role.problem.chance.loss
    paid = np.log(np.array([chance, *losses[1:], losses[-1]]) + 0.01)
    assert np.allclose(rewards, paid[:-1] - paid[1:], atol=1e-5)
    weights = np.concatenate([np.ravel(s["weight"]) for s in life.state.synapses])
    assert np.allclose(observations[-1][:, 0], weights, atol=1e-5)
    assert np.isclose(info["score"], life.tests.score[-1], atol=1e-5)


@pytest.mark.parametrize("lasts", [1, 4, 100])
def test_actions_of_zero_live_like_the_rule(lasts):
    env = make(rule="sgd", presentations_per_action=lasts)
    zero = np.zeros(env.action_space.shape, np.float32)
    observations, rewards, info = episode(env, lambda _: zero, options={"task": 3})
    problem = env.unwrapped.role.problem
    life = lived(pg.rules.SGD(), problem, 3)
    times = [min(t, 6) - 1 for t in range(lasts, 6 + lasts, lasts) if t < 6 + lasts]
    paid = np.log(np.array([problem.chance.loss, *life.losses[np.array(times)]]) + 0.01)
    assert np.allclose(rewards, paid[:-1] - paid[1:], atol=1e-5)
    assert np.isclose(info["score"], life.tests.score[-1], atol=1e-5)
    columns = dict(zip(env.unwrapped.columns, observations[-1], strict=True))
    assert columns["time_left"] == 0
    assert np.isclose(columns["best_score"], max(0.5, life.scores.max()))
    weight = np.asarray(life.state.synapses[1]["weight"])
    rms = np.log1p(np.sqrt(np.square(weight).mean()))
    assert np.isclose(columns["synapses[1].weight"], rms, atol=1e-5)


def test_an_action_moves_the_genome_by_its_reach():
    env = make(rule="sgd", reach=2.0)
    *_, info = episode(env, lambda _: np.array([0.5], np.float32), options={"task": 5})
    rule = pg.rules.with_genome(pg.rules.SGD(), pg.rules.genome(pg.rules.SGD()) + 1.0)
    life = lived(rule, env.unwrapped.role.problem, 5)
    assert np.isclose(info["score"], life.tests.score[-1])
    assert np.isclose(info["loss"], life.losses[-1], atol=1e-5)


def by_hand(role, inputs, weights, feedback, error):
    """What there is to see of the synapses of a network with one hidden layer of relus."""
    first = np.concatenate([inputs, np.ones((8, 1))], axis=1)
    hidden = np.maximum(first @ weights[0], 0.0)
    second = np.concatenate([hidden, np.ones((8, 1))], axis=1)
    errors = [(error @ feedback[0]) * (hidden > 0), error]
    exact = [(error @ weights[1][:-1].T) * (hidden > 0), error]
    posts = [hidden, second @ weights[1]]
    for layer, (pre, post) in enumerate(zip((first, second), posts, strict=True)):
        shape = weights[layer].shape
        yield {
            "weight": weights[layer],
            "pre": np.broadcast_to(pre.mean(0)[:, None], shape),
            "post": np.broadcast_to(post.mean(0), shape),
            "pre * post": pre.T @ post / 8,
            "post ** 2": np.broadcast_to((post**2).mean(0), shape),
            "error": np.broadcast_to(errors[layer].mean(0), shape),
            "pre * error": pre.T @ errors[layer] / 8,
            "gradient": -pre.T @ exact[layer] / 8,
        }


@pytest.mark.parametrize("tier", list(pg.envs.SYNAPSE_COLUMNS))
def test_columns_of_synapses(tier):
    env = make(tier=tier)
    env.reset(seed=0)
    env.step(np.full(env.action_space.shape, 0.3))
    seen, *_ = env.step(np.full(env.action_space.shape, -0.5))
    role, life = env.unwrapped.role, life_of(env.unwrapped)
    weights = [np.asarray(s["weight"]) for s in life.state.synapses]
    feedback = [np.asarray(b) for b in life.state.memory or [np.zeros((2, 4))]]
    world = eqx.tree_at(lambda w: w.time, life.world, jax.numpy.asarray(2))  # just met
    inputs = np.asarray(role.problem.observe(world).values)
    outputs = life.state.neurons[-1]["activity"]
    error = np.asarray(role.problem.respond(world, outputs)[1].error)
    assert role.blocks == ((3, 4), (5, 2))
    expected = list(by_hand(role, inputs, weights, feedback, error))
    assert set(role.columns) <= expected[0].keys()
    for column, name in enumerate(role.columns):
        value = np.concatenate([block[name].ravel() for block in expected])
        assert np.allclose(seen[:, column], value, atol=1e-5), name
    if tier != "activity":
        assert not np.allclose(feedback[0], weights[1][:-1].T)
        env.reset()
        assert not np.allclose(feedback[0], life_of(env.unwrapped).state.memory[0])


def test_a_tier_sees_all_that_the_one_below_it_sees():
    activity, error, gradient = pg.envs.SYNAPSE_COLUMNS.values()
    assert error[: len(activity)] == activity
    assert gradient[: len(error)] == error
    assert activity == ("weight", "pre", "post", "pre * post", "post ** 2")
    assert (error[5:], gradient[7:]) == (("error", "pre * error"), ("gradient",))


def test_a_policy_on_fed_back_errors_learns():
    env = make("Moons-v0", tier="error", hidden=(16,), batch=32, presentations=40, unit=1.0)
    column = env.unwrapped.columns.index("pre * error")
    scores = [
        episode(env, lambda seen: 0.5 * seen[:, column].clip(-1, 1), seed=seed)[2]["score"]
        for seed in range(5)
    ]
    assert np.median(scores) > 0.8


def test_an_activity_tier_is_told_nothing_of_targets(xor):
    """With other classes, a policy that sees activity does and sees the very same."""
    swapped = pg.envs.Classification(
        pg.envs.Examples(xor.train.inputs, 1 - xor.train.classes),
        xor.validation,
        xor.held_out,
        body=xor.body,
        batch=8,
        presentations=6,
    )
    seen = []
    for problem in (xor, swapped):
        env = pg.envs.LearningEnv(problem)
        assert env.role.host.reads == frozenset()
        actions = random_actions(env.action_space)
        seen.append(episode(env, actions, options={"task": 1})[0])
    assert np.array_equal(*seen)


@every_role
def test_nothing_is_compiled_after_the_first_step_and_reset(role, compilations):
    for env in (make(**role), make_vec(3, **role)):
        zero = np.zeros(env.action_space.shape, np.float32)
        env.reset(seed=0)
        env.step(zero)
        del compilations[:]
        for reset in ({}, {"seed": 1}, {"options": {"task": 2}}):
            env.reset(**reset)
            over = np.zeros(1, bool)
            while not np.any(over):
                over = env.step(zero)[2]
        assert compilations == []


def test_equal_structures_share_a_compilation(compilations):
    compiled = []
    for problem, unit in (("Moons-v0", 0.2), ("Blobs-v0", 0.3)):
        env = make(problem, unit=unit)  # building a problem may compile small things
        env.reset(seed=0)
        env.step(np.zeros(env.action_space.shape, np.float32))
        del compilations[:]
        make(problem, unit=unit + 0.3).reset(seed=0)
        compiled.append(list(compilations))
    assert compiled == [[], []]


def test_what_is_returned_is_ones_own():
    env = make()
    seen, _ = env.reset(seed=0)
    seen[:] = 7.0
    after = env.step(np.zeros(22, np.float32))[0]
    assert not np.any(after[:, 0] == 7.0)
    after[:] = 7.0
    assert not np.any(env.step(np.zeros(22, np.float32))[0][:, 0] == 7.0)


def test_the_test_part_stays_shut(xor):
    noise = pg.envs.Examples(-7.0 * xor.held_out.inputs, 1 - xor.held_out.classes)
    shut = pg.envs.Classification(
        xor.train, xor.validation, noise, body=xor.body, batch=8, presentations=6
    )
    for rule in (None, "sgd"):
        results = []
        for problem in (xor, shut):
            env = pg.envs.LearningEnv(problem, rule=rule)
            results.append(episode(env, random_actions(env.action_space), seed=0))
        (seen, rewards, info), (seen_, rewards_, info_) = results
        assert np.array_equal(seen, seen_)
        assert rewards == rewards_
        assert info == info_


def test_a_problem_registered_later_has_an_id():
    def toy(hidden=(3,)):
        return pg.envs.plane("or", hidden=hidden, batch=4, presentations=2)

    pg.envs.register("Toy-v0", toy)
    env: Any = gymnasium.make("plasticgym/Toy-v0", hidden=(5,))
    assert env.action_space.shape == (3 * 5 + 6 * 2,)
    assert json.loads(env.spec.to_json())["kwargs"]["problem"] == "Toy-v0"
    with pytest.raises(ValueError, match="must fit into an id"):
        pg.envs.register("no such/id", toy)
    assert "no such/id" not in pg.envs.PROBLEMS


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("sgd(rate=0.5)", {}),
        ("sgd(rate=0.1)", {"rate": 0.5}),
        ("expr: rate * pre * error; rate=0.5", {}),
    ],
)
def test_a_rule_is_written_as_in_a_shell(text, options):
    env = make(rule=text, **options)
    assert float(env.unwrapped.role.steered.rate) == 0.5
    assert json.loads(env.spec.to_json())["kwargs"]["rule"] == text


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tier": "gradeint"}, "unknown `tier` 'gradeint'; did you mean 'gradient'"),
        ({"rule": "blurr"}, "unknown rule 'blurr'; did you mean 'blur'"),
        ({"rule": "sgd(rats=1)"}, "'sgd' does not take these options: .*'rats'"),
        ({"rule": "expr: eta * pre"}, "give it a value, as in eta=0.1"),
        ({"rule": "mine.py:rule"}, "got the file 'mine.py:rule': build its rule"),
        ({"hiden": (3,)}, "unknown option `hiden`; did you mean 'hidden'"),
        ({"rule": "sgd", "tier": "gradient"}, "option `tier` is for being the rule yourself"),
        ({"reach": 1.0}, "option `reach` is for steering a rule: name one"),
        ({"presentations_per_action": 2}, "`presentations_per_action` is for steering"),
        ({"rule": "sgd", "presentations_per_action": 0}, "`presentations_per_action` must"),
        ({"rule": "sgd", "presentations_per_action": 1.5}, "`presentations_per_action` must"),
        ({"rule": "sgd", "reach": -1.0}, "`reach` must be a positive number, got -1.0"),
        ({"rule": "sgd", "rate": -1.0}, "`rate` must be positive"),
        ({"unit": 0}, "`unit` must be a positive number, got 0"),
        ({"unit": float("nan")}, "`unit` must be a positive number, got nan"),
        ({"activation": "rely"}, "unknown activation 'rely'; did you mean 'relu'"),
        ({"batch": 0}, "`batch` must be a positive whole number"),
        ({"presentations": -1}, "`presentations` must be a positive whole number"),
        ({"view": "upside down"}, "unknown `view`"),
    ],
)
def test_bad_options(options, match, unchecked):
    for build in (make, lambda **options: make_vec(3, **options)):
        with pytest.raises(ValueError, match=match):
            build(**options)


@pytest.mark.parametrize(
    ("action", "match"),
    [
        (np.zeros(3), r"shape \(22,\), got float64 of shape \(3,\)"),
        (np.zeros((22, 1)), r"shape \(22,\), got float64 of shape \(22, 1\)"),
        (np.full(22, np.nan), "22 that are not finite"),
        (np.where(np.arange(22) == 3, np.inf, 0.0), "1 that are not finite"),
        (np.full(22, "a"), "got <U1 of shape"),
        (np.full(22, 1j), "got complex128 of shape"),
        (None, "got object of shape"),
        ([[1], [1, 2]], "got object of shape"),
    ],
)
def test_bad_actions(action, match, unchecked):
    env, fresh = make().unwrapped, make().unwrapped
    for each in (env, fresh):
        each.reset(seed=0)
    with pytest.raises(gymnasium.error.InvalidAction, match=match):
        env.step(action)
    good = np.full(22, 0.5)
    assert np.array_equal(env.step(good)[0], fresh.step(good)[0])


def test_actions_beyond_the_box_are_clipped():
    seen = []
    for size in (1.0, 1e300):
        env = make()
        env.reset(seed=0)
        seen.append(env.step(np.full(22, size))[0])
    assert np.array_equal(*seen)


def test_the_order_of_calls():
    for env in (make(rule="sgd"), make(rule="sgd").unwrapped, make_vec(3, rule="sgd")):
        action = np.zeros(env.action_space.shape, np.float32)
        with pytest.raises(gymnasium.error.ResetNeeded):
            env.step(action)
        env.reset(seed=0)
        env.step(action)
        if not hasattr(env, "num_envs"):
            with pytest.raises(gymnasium.error.ResetNeeded, match="call `reset` first"):
                env.step(action)
        env.reset()
        env.step(action)
        env.close()
        env.close()
        for call in (lambda e=env, a=action: e.step(a), env.reset):
            with pytest.raises(gymnasium.error.ClosedEnvironmentError, match="closed"):
                call()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"taks": 3}, "`options` of `reset` may hold .* only, got 'taks'"),
        ({"task": -1}, "`task` must be a whole number"),
        ({"task": 2**32}, "`task` must be a whole number"),
        ({"task": 1.5}, "`task` must be a whole number"),
        ({"task": True}, "`task` must be a whole number"),
    ],
)
def test_bad_reset(options, match, unchecked):
    for env in (make(), make_vec(3)):
        env.reset(seed=0)
        with pytest.raises(ValueError, match=match):
            env.reset(options=options)
        env.step(np.zeros(env.action_space.shape, np.float32))
