"""The environments as tools of reinforcement learning see them."""

import functools
import json
from typing import Any

import equinox as eqx
import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import plasticgym as pg

SMALL = {"hidden": (4,), "batch": 8, "presentations": 6}
ROLES = {
    "you are the rule": {},
    "you steer a rule": {"rule": "blur", "presentations_per_action": 4},
    "you choose a genome": {"rule": "sgd"},
}
every_role = pytest.mark.parametrize("role", list(ROLES.values()), ids=list(ROLES))


def make(problem="Xor-v0", **options) -> Any:
    return gymnasium.make(f"plasticgym/{problem}", **SMALL | options)


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


def random_actions(space, seed=0):
    rng = np.random.default_rng(seed)
    return lambda seen: rng.uniform(-1, 1, space.shape).astype(np.float32)


@pytest.fixture
def compilations():
    """The names of what is compiled from here on."""
    events = []

    def note(event, duration_secs, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield events
    jax.monitoring.unregister_event_duration_listener(note)


@pytest.mark.parametrize("options", [{}, {"rule": "sgd"}], ids=["rule", "steer"])
@pytest.mark.parametrize("problem", list(pg.envs.PROBLEMS))
def test_check_env(problem, options):
    check_env(make(problem, **options).unwrapped)


@every_role
def test_what_gymnasium_asks_for(role):
    env = make(**role)
    check_env(env.unwrapped)
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


def test_columns_of_synapses():
    env = make(tier="gradient")
    seen, _ = env.reset(seed=0)
    role, life = env.unwrapped.role, env.unwrapped._episode.life
    weights = [np.asarray(s["weight"]) for s in life.state.synapses]
    world = role.problem.reset(key=jax.random.key(0))
    world = eqx.tree_at(lambda w: w.order, world, life.world.order)  # the world at time 0
    inputs = role.problem.observe(world).values
    assert role.blocks == ((3, 4), (5, 2))

    def layers(weights):
        ones = jax.numpy.ones((8, 1))
        first = jax.numpy.concatenate([inputs, ones], axis=1)
        hidden = jax.nn.relu(first @ weights[0])
        second = jax.numpy.concatenate([hidden, ones], axis=1)
        return [(first, hidden), (second, second @ weights[1])]

    def loss(weights):
        return role.problem.respond(world, layers(weights)[-1][1])[2].loss

    gradients = jax.jit(jax.grad(loss))(weights)
    expected = []
    for (pre, post), weight, gradient in zip(layers(weights), weights, gradients, strict=True):
        pre, post, shape = np.asarray(pre), np.asarray(post), weight.shape
        expected.append(
            {
                "weight": weight.ravel(),
                "pre": np.broadcast_to(pre.mean(0)[:, None], shape).ravel(),
                "post": np.broadcast_to(post.mean(0), shape).ravel(),
                "pre * post": np.ravel(pre.T @ post / 8),
                "post ** 2": np.broadcast_to((post**2).mean(0), shape).ravel(),
                "gradient": np.ravel(gradient),
            }
        )
    assert expected[0].keys() == set(role.columns)
    for column, name in enumerate(role.columns):
        value = np.concatenate([block[name] for block in expected])
        assert np.allclose(seen[:, column], value, atol=1e-5), name


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
def test_a_vector_does_what_single_environments_do(role):
    vector, single = make_vec(3, **role), [make(**role) for _ in range(3)]
    act = random_actions(vector.action_space)
    seen, _ = vector.reset(seed=11)
    expected = np.stack([env.reset(seed=11 + i)[0] for i, env in enumerate(single)])
    assert np.allclose(seen, expected, atol=1e-5)
    ended = 0
    for _ in range(14):
        actions = act(None)
        seen, rewards, over, truncated, infos = vector.step(actions)
        steps = [env.step(action) for env, action in zip(single, actions, strict=True)]
        assert np.allclose(rewards, [s[1] for s in steps], atol=1e-5)
        assert over.tolist() == [s[2] for s in steps]
        assert not truncated.any()
        expected = [s[0] for s in steps]
        if over.any():
            ended += 1
            assert infos["_final_obs"].all()
            assert infos["_final_info"].all()
            for i, step in enumerate(steps):
                assert np.allclose(infos["final_obs"][i], step[0], atol=1e-5)
                for name, value in step[4].items():
                    assert np.isclose(infos["final_info"][name][i], value, atol=1e-5)
            expected = [env.reset()[0] for env in single]
        else:
            assert not infos
        assert np.allclose(seen, np.stack(expected), atol=1e-5)
    assert ended > 1


def test_a_vector_is_one_for_gymnasium():
    envs = make_vec(3, rule="sgd")
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.spec.id == "plasticgym/Xor-v0"
    seen, infos = envs.reset(seed=[4, None, 9])
    assert infos == {}
    assert seen in envs.observation_space
    assert envs.np_random_seed[0] == 4
    seen, rewards, over, truncated, _ = envs.step(envs.action_space.sample())
    assert seen in envs.observation_space
    assert (rewards.dtype, over.dtype, truncated.dtype) == (np.float64, bool, bool)
    sync = gymnasium.make_vec(
        "plasticgym/Xor-v0",
        num_envs=3,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        **SMALL,
        rule="sgd",
    )
    ours = make_vec(3, rule="sgd")
    infos = []
    for each in (sync, ours):
        each.reset(seed=1)
        infos.append(each.step(np.zeros((3, 1), np.float32))[4])
    assert infos[0].keys() == infos[1].keys()
    for name in ("score", "loss", "diverged", "_score"):
        a, b = (each["final_info"][name] for each in infos)
        assert a.dtype == b.dtype
        assert np.allclose(a, b, atol=1e-5)


def test_worlds_are_new_and_seeds_stay():
    envs = make_vec(3)
    first, _ = envs.reset(seed=3)
    assert not np.allclose(first[0], first[1])
    worlds = [first]
    for _ in range(13):
        seen, _, over, _, _ = envs.step(np.zeros((3, 22), np.float32))
        worlds += [seen] if over.any() else []
    assert len(worlds) == 3
    assert not np.allclose(worlds[0][0], worlds[1][0])
    assert not np.allclose(worlds[1][0], worlds[2][0])
    again, _ = envs.reset(seed=3)
    assert np.array_equal(again, first)
    unseeded, _ = envs.reset()
    assert np.array_equal(unseeded, worlds[1])


def test_an_episode_that_ends_alone_touches_no_neighbour():
    envs, zero = make_vec(3), np.zeros((3, 22), np.float32)
    results = []
    for early in (False, True):
        envs.reset(seed=0)
        envs.step(zero)
        if early:  # the second life is near its end
            time = envs._episodes.life.time.at[1].set(5)
            envs._episodes = eqx.tree_at(lambda e: e.life.time, envs._episodes, time)
        results.append([envs.step(zero) for _ in range(2)])
    (plain, plain_), (early, early_) = results
    assert early[2].tolist() == [False, True, False]
    for a, b in ((plain, early), (plain_, early_)):
        assert np.array_equal(a[0][[0, 2]], b[0][[0, 2]])
        assert np.array_equal(a[1][[0, 2]], b[1][[0, 2]])
    infos = early[4]
    for mask in (infos["_final_obs"], infos["_final_info"], infos["final_info"]["_score"]):
        assert mask.tolist() == [False, True, False]
    assert infos["final_obs"][0] is None
    assert infos["final_obs"][2] is None
    assert not np.allclose(infos["final_obs"][1], early[0][1])
    following = make()
    following.reset(seed=1)
    assert np.allclose(following.reset()[0], early[0][1], atol=1e-6)
    assert early_[4] == {}


def test_a_neighbour_is_left_alone():
    """What one environment does, be it to diverge, changes nothing in the others."""
    envs, kept = make_vec(3, unit=3e38), []
    for wild in (0.0, 1.0):
        seen, _ = envs.reset(seed=0)
        kept.append([])
        for _ in range(7):
            actions = np.zeros((3, 22), np.float32)
            actions[1] = wild
            seen, rewards, _, _, infos = envs.step(actions)
            assert seen in envs.observation_space
            assert np.isfinite(rewards).all()
            kept[-1].append((seen[[0, 2]], rewards[[0, 2]]))
            if infos:
                assert infos["final_info"]["diverged"].tolist() == [False, bool(wild), False]
                assert wild == 0 or infos["final_info"]["score"][1] == 0.5
    for a, b in zip(*kept, strict=True):
        assert np.array_equal(a[0], b[0])
        assert np.array_equal(a[1], b[1])


@every_role
def test_nothing_is_compiled_after_the_first_step_and_reset(role, compilations):
    for env in (make(**role), make_vec(3, **role)):
        zero = np.zeros(env.action_space.shape, np.float32)
        env.reset(seed=0)
        env.step(zero)
        env.reset()
        del compilations[:]
        for seed in (None, 1, 2):
            env.reset(seed=seed)
            for _ in range(6 if env.spec.kwargs.get("num_envs") else 1):
                env.step(zero)
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


def test_data_are_held_once():
    envs, one = make_vec(64, rule="sgd"), make(rule="sgd")
    held = [sum(x.nbytes for x in env.unwrapped._program._leaves) for env in (envs, one)]
    assert held[0] == held[1]


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
    ("options", "match"),
    [
        ({"tier": "gradeint"}, "unknown `tier` 'gradeint'; did you mean 'gradient'"),
        ({"rule": "blurr"}, "unknown rule 'blurr'; did you mean 'blur'"),
        ({"hiden": (3,)}, "unknown option `hiden`; did you mean 'hidden'"),
        ({"rule": "sgd", "tier": "gradient"}, "unknown option `tier`"),
        ({"reach": 1.0}, "unknown option `reach`"),
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


def test_bad_numbers_of_environments(unchecked):
    with pytest.raises(ValueError, match="`num_envs` must be a positive whole number"):
        make_vec(0)


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


def test_bad_actions_of_a_vector(unchecked):
    envs = make_vec(3)
    envs.reset(seed=0)
    for bad in (np.zeros(22), np.zeros((2, 22)), np.full((3, 22), np.inf)):
        with pytest.raises(gymnasium.error.InvalidAction, match=r"shape \(3, 22\)"):
            envs.step(bad)
    envs.step(np.zeros((3, 22)))


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
        ({"taks": 3}, "may hold \"task\" only, got 'taks'"),
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


def test_tasks_of_a_vector(unchecked):
    envs, env = make_vec(3), make()
    both = np.stack([env.reset(options={"task": n})[0] for n in (4, 9, 4)])
    assert np.allclose(envs.reset(options={"task": [4, 9, 4]})[0], both, atol=1e-6)
    assert np.allclose(envs.reset(options={"task": 4})[0], both[[0, 0, 0]], atol=1e-6)
    with pytest.raises(ValueError, match="`task` must be a whole number or 3 of them"):
        envs.reset(options={"task": [1, 2]})
    with pytest.raises(ValueError, match="`seed` must be a whole number or 3 of them"):
        envs.reset(seed=[1])
