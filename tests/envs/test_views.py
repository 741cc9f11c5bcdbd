"""The environments as pure functions: in the order of gymnax, and as Gymnasium's FuncEnv."""

import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.envs.functional_jax_env import FunctionalJaxEnv

import plasticgym as pg
from plasticgym.envs import to_func_env, to_gymnax
from plasticgym.envs._functions import if_needed

ROLES = {
    "you are the rule": {"tier": "gradient"},
    "you steer a rule": {"rule": "sgd", "presentations_per_action": 4},
    "you choose a genome": {"rule": "sgd"},
}
every_role = pytest.mark.parametrize("role", list(ROLES.values()), ids=list(ROLES))
TASK = 5


def single(xor, role):
    """What the single environment gives for a task: one row for each step."""
    env = pg.envs.LearningEnv(xor, **role)
    seen, _ = env.reset(options={"task": TASK})
    rng, rows, over = np.random.default_rng(0), [], False
    while not over:
        action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        following, reward, over, _, info = env.step(action)
        rows.append((seen, action, reward, following, over, info))
        seen = following
    return rows


@every_role
def test_in_the_order_of_gymnax_a_life_is_that_of_the_environment(xor, role):
    env = to_gymnax(xor, **role)
    params = env.default_params
    rows = single(xor, role)
    assert params.max_steps_in_episode == len(rows)
    seen, state = env.reset(jax.random.key(TASK), params)
    for key, (before, action, reward, after, over, info) in enumerate(rows):
        np.testing.assert_allclose(seen, before, atol=1e-5)
        key_next = jax.random.key(100 + key)
        seen, state, earned, ended, cut, told = env.step(key_next, state, action, params)
        np.testing.assert_allclose(earned, reward, atol=1e-5)
        np.testing.assert_allclose(told["final_observation"], after, atol=1e-5)
        assert (bool(ended), bool(cut)) == (over, False)
        assert (bool(told["terminated"]), bool(told["truncated"])) == (over, False)
        for name in ("score", "loss", "diverged"):
            np.testing.assert_allclose(told[name], info.get(name, 0), atol=1e-5)
    new, _ = env.reset(key_next, params)  # the world that follows is that of the last key
    np.testing.assert_array_equal(seen, new)
    assert not np.array_equal(seen, before)


@every_role
def test_in_the_order_of_gymnax_one_can_do_without_a_new_life(xor, role):
    env = to_gymnax(xor, **role)
    params, key = env.default_params, jax.random.key(TASK)
    _, state = env.reset_env(key, params)
    rows = single(xor, role)
    for _, action, reward, after, over, _ in rows:
        seen, state, earned, ended, told = env.step_env(key, state, action, params)
        np.testing.assert_allclose(earned, reward, atol=1e-5)
        np.testing.assert_allclose(seen, after, atol=1e-5)
        assert bool(ended) is over
    assert state.life.time == xor.presentations
    np.testing.assert_allclose(told["score"], rows[-1][5]["score"], atol=1e-5)


def test_in_the_order_of_gymnax_many_are_as_each_alone(xor):
    env = to_gymnax(xor, rule="sgd", presentations_per_action=4)
    params, keys = env.default_params, jax.random.split(jax.random.key(0), 3)
    actions = jnp.asarray([[-0.5], [0.0], [0.5]], jnp.float32)
    many = jax.jit(jax.vmap(env.step, (0, 0, 0, None)))
    _, states = jax.vmap(env.reset, (0, None))(keys, params)
    _, ahead, *_ = env.step(keys[1], jax.tree.map(lambda x: x[1], states), actions[1], params)
    # The middle one is a step ahead, so that lives end at different times.
    states = jax.tree.map(lambda all_, one: all_.at[1].set(one), states, ahead)
    for _ in range(3):
        alone = [
            env.step(keys[i], jax.tree.map(lambda x, i=i: x[i], states), actions[i], params)
            for i in range(3)
        ]
        result = many(keys, states, actions, params)
        assert_close(result, jax.tree.map(lambda *x: jnp.stack(x), *alone))
        states = result[1]


def assert_close(one, other):
    def values(x):
        typed = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if typed else x

    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(values(a), values(b), atol=1e-5)


def test_raw_keys_are_keys(xor):
    env = to_gymnax(xor, rule="sgd")
    typed, _ = env.reset(jax.random.key(3))
    raw, _ = env.reset(jax.random.PRNGKey(3))
    np.testing.assert_array_equal(typed, raw)


def test_spaces_have_the_names_of_gymnax(xor):
    env = to_gymnax(xor, rule="adam")
    theirs = pg.envs.LearningEnv(xor, rule="adam")
    for space, expected in (
        (env.action_space(env.default_params), theirs.action_space),
        (env.observation_space(), theirs.observation_space),
    ):
        drawn = space.sample(jax.random.key(0))
        assert (space.shape, space.dtype) == (expected.shape, expected.dtype)
        assert space.contains(drawn)
        assert expected.contains(np.asarray(drawn))
        assert not space.contains(drawn + 1000.0)
        np.testing.assert_array_equal(
            [space.low, space.high], [expected.low[0], expected.high[0]]
        )
    assert env.num_actions == env.action_space().shape[0]
    assert env.name == "Steering"


def test_params_of_another_rule_and_problem_need_no_compilation(xor, compilations):
    env = to_gymnax(xor, rule=pg.rules.SGD(rate=0.1))
    nxor = pg.envs.plane("nxor", hidden=(4,), batch=8, presentations=6)
    other = to_gymnax(nxor, rule=pg.rules.SGD(rate=0.5)).default_params
    run = jax.jit(lambda params, key: step_once(env, params, key))
    first = run(env.default_params, jax.random.key(0))
    key = jax.random.key(0)
    compilations.clear()
    second = run(other, key)
    assert not compilations
    assert float(second) != float(first)


def step_once(env, params, key):
    _, state = env.reset(key, params)
    return env.step(key, state, jnp.zeros(1), params)[2]


@every_role
def test_a_functional_environment_lives_like_the_environment(xor, role, compilations):
    env = to_func_env(xor, **role)
    key, zeros = jax.random.key(TASK), {"score": 0, "loss": 0, "diverged": 0}
    state = env.initial(key)
    for count, (seen, action, reward, after, over, info) in enumerate(single(xor, role)):
        if count == 1:
            compilations.clear()
        np.testing.assert_allclose(env.observation(state, key), seen, atol=1e-5)
        following = env.transition(state, action, key)
        np.testing.assert_allclose(env.reward(state, action, following, key), reward, atol=1e-5)
        assert bool(env.terminal(following, key)) is over
        np.testing.assert_allclose(env.observation(following, key), after, atol=1e-5)
        told = env.transition_info(state, action, following)
        for name, value in (zeros | info).items():
            np.testing.assert_allclose(told[name], value, atol=1e-5)
        state = following
    assert not count or not compilations


def test_gymnasium_makes_an_environment_of_a_functional_one(xor):
    env = FunctionalJaxEnv(to_func_env(xor, rule="sgd", presentations_per_action=4))
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(np.asarray(seen))
    _, first, over, truncated, _ = env.step(np.zeros(1, np.float32))
    _, second, over, truncated, info = env.step(np.zeros(1, np.float32))
    assert (over, truncated) == (True, False)
    expected = np.log(xor.chance.loss + 0.01) - np.log(info["loss"] + 0.01)
    assert np.isclose(first + second, expected, atol=1e-5)


def test_gymnasium_vectorises_a_functional_environment(xor):
    env = to_func_env(xor, rule="sgd")
    keys = jax.random.split(jax.random.key(0), 3)
    alone = [env.observation(env.initial(key), key) for key in keys]
    env.transform(jax.vmap)
    np.testing.assert_allclose(
        env.observation(env.initial(keys), keys), jnp.stack(alone), atol=1e-6
    )


@pytest.mark.parametrize("view", [to_gymnax, to_func_env])
def test_unknown_options_are_named(view):
    with pytest.raises(ValueError, match="unknown option `presentation`; did you mean"):
        view("Xor-v0", rule="sgd", presentation=3)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("role", "action", "shapes"),
    [
        ({"rule": "momentum"}, 0.5, r"\(2,\), got shape \(\)"),
        ({"tier": "gradient"}, jnp.zeros(50), r"\(22,\), got shape \(50,\)"),
    ],
)
def test_actions_of_another_shape_are_refused(xor, role, action, shapes):
    match = f"`action` must have shape {shapes}"
    key = jax.random.key(0)
    gymnax, func_env = to_gymnax(xor, **role), to_func_env(xor, **role)
    _, state = gymnax.reset(key)
    for step in (
        lambda: gymnax.step(key, state, action),
        lambda: gymnax.step_env(key, state, action, gymnax.default_params),
        lambda: func_env.transition(state, action, key),
        lambda: func_env.transition_info(state, action, state),
    ):
        with pytest.raises(ValueError, match=match):
            step()


# What is computed only where it is needed.


@pytest.mark.parametrize(
    ("needed", "times"),
    [
        ([False, False, False], 0),
        ([False, True, False], 1),
        ([[False, False], [False, False], [False, False]], 0),
        ([[False, False], [True, False], [False, False]], 1),
    ],
)
def test_many_compute_only_if_any_needs_it(needed, times):
    calls = []

    def expensive(x):
        jax.debug.callback(lambda: calls.append(1))
        return x * 10.0

    needed = jnp.asarray(needed)
    x = jnp.arange(1.0, needed.size + 1).reshape(needed.shape)
    one = lambda needed, x: if_needed(needed, lambda: expensive(x), -x)  # noqa: E731
    for _ in range(needed.ndim):
        one = jax.vmap(one)
    result = jax.jit(one)(needed, x)
    jax.effects_barrier()
    np.testing.assert_array_equal(result, jnp.where(needed, x * 10.0, -x))
    assert len(calls) == times


def test_what_is_needed_may_be_the_same_for_all():
    found = jax.vmap(lambda x: if_needed(jnp.array(True), lambda: x * 2.0, 0.0 * x))(
        jnp.arange(3.0)
    )
    np.testing.assert_array_equal(found, [0.0, 2.0, 4.0])


def test_gradients_pass_through():
    def loss(x):
        return if_needed(x > 0, lambda: x**2, x)

    assert jax.grad(loss)(3.0) == 6.0
    both = jax.vmap(jax.grad(loss))(jnp.array([3.0, -1.0]))
    np.testing.assert_array_equal(both, [6.0, 1.0])


# Adapters to what need not be there; with the real tools they are tested in `adapters`.


@pytest.mark.parametrize(
    ("module", "package", "make"),
    [
        (
            "stable_baselines3",
            "stable-baselines3",
            lambda: pg.envs.to_sb3(gymnasium.make_vec("plasticgym/Xor-v0", num_envs=1)),
        ),
        ("brax", "brax", lambda: pg.envs.to_brax("Xor-v0")),
    ],
)
def test_without_the_tool_the_package_is_named(module, package, make, monkeypatch):
    for name in list(sys.modules):
        if name.split(".")[0] == module or name.endswith(("envs._sb3", "envs._brax")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=f"pip install {package}`"):
        make()


def test_what_a_tool_itself_lacks_is_named(monkeypatch):
    for name in list(sys.modules):
        if name.split(".")[0] == "evosax" or name.endswith("envs._evosax"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flax", None)
    match = "no module `flax.*`; install it with `pip install evosax`"
    with pytest.raises(ModuleNotFoundError, match=match):
        pg.envs.to_evosax("Xor-v0", rule="sgd")


@pytest.mark.parametrize("option", [{"presentations_per_action": 5}, {"reach": 7.0}])
def test_evosax_refuses_the_options_of_environments(option):
    match = f"`{next(iter(option))}` is an option of environments"
    with pytest.raises(ValueError, match=match):
        pg.envs.to_evosax("Xor-v0", rule="sgd", **option)
    with pytest.raises(ValueError, match=match):
        pg.envs.to_evosax_meta(["Xor-v0"], rule="sgd", **option)


@pytest.mark.usefixtures("unchecked")
def test_evosax_needs_a_rule_and_problems():
    with pytest.raises(
        ValueError, match="`rule` must be a registered name or a rule, got None"
    ):
        pg.envs.to_evosax("Xor-v0", rule=None)
    with pytest.raises(ValueError, match="`problems` must be a list of at least one"):
        pg.envs.to_evosax_meta([], rule="sgd")
    with pytest.raises(ValueError, match="`problems` must be a list of at least one"):
        pg.envs.to_evosax_meta("Xor-v0", rule="sgd")
    with pytest.raises(ValueError, match="`lives` must be"):
        pg.envs.to_evosax("Xor-v0", rule="sgd", lives=0)


@pytest.mark.usefixtures("unchecked")
def test_single_environments_need_no_adapter_to_stable_baselines():
    with pytest.raises(ValueError, match="takes single environments as they are"):
        pg.envs.to_sb3(gymnasium.make("plasticgym/Xor-v0"))


def test_stable_baselines_needs_new_lives_in_the_same_step():
    envs = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"AutoresetMode\.SAME_STEP`, got .*NEXT_STEP"):
        pg.envs.to_sb3(envs)
