"""The environments as tools of reinforcement learning see them."""

import json

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
    "you are the rule, with the gradient": {"tier": "gradient"},
    "you steer a rule": {"rule": "blur", "presentations_per_action": 4},
    "you choose a genome": {"rule": "sgd"},
}
every_role = pytest.mark.parametrize("role", list(ROLES.values()), ids=list(ROLES))


def make(problem="Xor-v0", **options):
    return gymnasium.make(f"plasticgym/{problem}", **SMALL | options)


def make_vec(num_envs, **options):
    return gymnasium.make_vec("plasticgym/Xor-v0", num_envs=num_envs, **SMALL | options)


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

    def note(event, duration, **_):
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
    life = pg.envs.live(
        pg.rules.SGD(rate=0.3), env.unwrapped.role.problem, key=jax.random.key(7)
    )
    losses = np.asarray(life.losses)
    chance = env.unwrapped.role.problem.chance.loss
    paid = np.log(np.array([chance, *losses[1:], losses[-1]]) + 0.01)
    assert np.allclose(rewards, paid[:-1] - paid[1:], atol=1e-5)
    weights = np.concatenate([np.ravel(s["weight"]) for s in life.state.synapses])
    assert np.allclose(observations[-1][:, 0], weights, atol=1e-5)
    assert np.isclose(info["score"], life.tests.score[-1], atol=1e-5)


@pytest.mark.parametrize("lasts", [1, 4, 6, 100])
def test_actions_of_zero_live_like_the_rule(lasts):
    env = make(rule="momentum", presentations_per_action=lasts)
    zero = np.zeros(env.action_space.shape, np.float32)
    observations, rewards, info = episode(env, lambda _: zero, options={"task": 3})
    problem = env.unwrapped.role.problem
    life = pg.envs.live(pg.rules.Momentum(), problem, key=jax.random.key(3))
    times = [min(t, 6) - 1 for t in range(lasts, 6 + lasts, lasts) if t < 6 + lasts]
    paid = np.log(np.array([problem.chance.loss, *life.losses[np.array(times)]]) + 0.01)
    assert np.allclose(rewards, paid[:-1] - paid[1:], atol=1e-5)
    assert np.isclose(info["score"], life.tests.score[-1], atol=1e-5)
    columns = dict(zip(env.unwrapped.columns, observations[-1], strict=True))
    assert columns["time_left"] == 0
    assert np.isclose(columns["best_score"], max(0.5, life.scores.max()))
    velocity = np.asarray(life.state.synapses[1]["velocity"])
    rms = np.log1p(np.sqrt(np.square(velocity).mean()))
    assert np.isclose(columns["synapses.1.velocity".replace(".1", "[1]")], rms, atol=1e-5)


def test_an_action_moves_the_genome_by_its_reach():
    env = make(rule="sgd", reach=2.0)
    *_, info = episode(env, lambda _: np.array([0.5], np.float32), options={"task": 5})
    rule = pg.rules.with_genome(pg.rules.SGD(), pg.rules.genome(pg.rules.SGD()) + 1.0)
    life = pg.envs.live(rule, env.unwrapped.role.problem, key=jax.random.key(5))
    assert np.isclose(info["score"], life.tests.score[-1])
    assert np.isclose(info["loss"], life.losses[-1], atol=1e-5)


def test_columns_of_synapses():
    env = make(hidden=(), tier="gradient")
    seen, _ = env.reset(options={"task": 0})
    role = env.unwrapped.role
    life = pg.envs.born(pg.rules.SGD(), role.problem, key=jax.random.key(0))
    inputs = np.asarray(role.problem.observe(life.world).values)
    pre = np.concatenate([inputs, np.ones((8, 1))], axis=1)
    weight = np.asarray(life.state.synapses[0]["weight"])
    post = pre @ weight
    columns = dict(zip(role.columns, np.moveaxis(seen.reshape(3, 2, -1), 2, 0), strict=True))
    assert role.blocks == ((3, 2),)
    expected = {
        "weight": weight,
        "pre": np.tile(pre.mean(0)[:, None], (1, 2)),
        "post": np.tile(post.mean(0), (3, 1)),
        "pre * post": pre.T @ post / 8,
        "post ** 2": np.tile((post**2).mean(0), (3, 1)),
    }
    for name, value in expected.items():
        assert np.allclose(columns[name], value, atol=1e-5), name

    def loss(w):
        outputs = jax.numpy.asarray(pre, "float32") @ w
        return role.problem.respond(life.world, outputs)[2].loss

    gradient = jax.grad(loss)(life.state.synapses[0]["weight"])
    assert np.allclose(columns["gradient"], gradient, atol=1e-5)


def test_an_activity_tier_is_told_nothing_of_targets(xor):
    """With other classes, a policy that sees activity does and sees the very same."""
    other = pg.envs.plane("nxor", hidden=(4,), batch=8, presentations=6)
    swapped = pg.envs.Classification(
        pg.envs.Examples(xor.train.inputs, 1 - xor.train.classes),
        xor.validation,
        xor.held_out,
        body=xor.body,
        batch=8,
        presentations=6,
    )
    del other
    seen = []
    for problem in (xor, swapped):
        env = pg.envs.LearningEnv(problem)
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
    envs = make_vec(2, rule="sgd", presentations_per_action=2)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.spec.id == "plasticgym/Xor-v0"
    seen, infos = envs.reset(seed=[4, None])
    assert infos == {}
    assert seen in envs.observation_space
    assert envs.np_random_seed[0] == 4
    seen, rewards, over, truncated, _ = envs.step(envs.action_space.sample())
    assert seen in envs.observation_space
    assert (rewards.dtype, over.dtype, truncated.dtype) == (np.float64, bool, bool)
    sync = gymnasium.make_vec(
        "plasticgym/Xor-v0",
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        **SMALL,
        rule="sgd",
    )
    ours = make_vec(2, rule="sgd")
    infos = []
    for each in (sync, ours):
        each.reset(seed=1)
        infos.append(each.step(np.zeros((2, 1), np.float32))[4])
    assert infos[0].keys() == infos[1].keys()
    for name in ("score", "loss", "diverged", "_score"):
        a, b = (each["final_info"][name] for each in infos)
        assert a.dtype == b.dtype
        assert np.allclose(a, b, atol=1e-5)


def test_worlds_are_new_and_seeds_stay():
    envs = make_vec(2)
    first, _ = envs.reset(seed=3)
    assert not np.allclose(first[0], first[1])
    worlds = [first]
    for _ in range(13):
        seen, _, over, _, _ = envs.step(np.zeros((2, 22), np.float32))
        worlds += [seen] if over.any() else []
    assert len(worlds) == 3
    assert not np.allclose(worlds[0][0], worlds[1][0])
    assert not np.allclose(worlds[1][0], worlds[2][0])
    again, _ = envs.reset(seed=3)
    assert np.array_equal(again, first)
    unseeded, _ = envs.reset()
    assert np.array_equal(unseeded, worlds[1])


def test_a_neighbour_is_left_alone():
    """What one environment does, be it to diverge, changes nothing in the others."""
    envs, kept = make_vec(3, unit=1e30), []
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
    for env in (make(**role), make_vec(2, **role)):
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
    for problem in ("Moons-v0", "Blobs-v0"):
        del compilations[:]
        env = make(problem, unit=0.2 if problem == "Moons-v0" else 0.3)
        env.reset(seed=0)
        env.step(np.zeros(env.action_space.shape, np.float32))
        first = first if problem == "Blobs-v0" else len(compilations)  # noqa: F821
    assert compilations == []


def test_data_are_held_once():
    envs, one = make_vec(64, rule="sgd"), make(rule="sgd")
    held = [sum(x.nbytes for x in env.unwrapped._program._leaves) for env in (envs, one)]
    assert held[0] == held[1]
    world = jax.tree.leaves(envs.reset(seed=0) and envs.unwrapped._episodes.life.world)
    assert sum(x.nbytes for x in world) < held[0] * 2


def test_what_is_returned_is_ones_own():
    env = make()
    seen, _ = env.reset(seed=0)
    seen[:] = 7.0
    after = env.step(np.zeros(22, np.float32))[0]
    assert not np.any(after[:, 0] == 7.0)


def test_the_test_part_stays_shut(xor):
    noise = pg.envs.Examples(xor.held_out.inputs * np.nan, 1 - xor.held_out.classes)
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
    env = gymnasium.make("plasticgym/Toy-v0", hidden=(5,))
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
    for build in (make, lambda **options: make_vec(2, **options)):
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
    envs = make_vec(2)
    envs.reset(seed=0)
    for bad in (np.zeros(22), np.zeros((3, 22)), np.full((2, 22), np.inf)):
        with pytest.raises(gymnasium.error.InvalidAction, match=r"shape \(2, 22\)"):
            envs.step(bad)
    envs.step(np.zeros((2, 22)))


def test_actions_beyond_the_box_are_clipped():
    seen = []
    for size in (1.0, 1e300):
        env = make()
        env.reset(seed=0)
        seen.append(env.step(np.full(22, size))[0])
    assert np.array_equal(*seen)


def test_the_order_of_calls():
    for env in (make(rule="sgd"), make(rule="sgd").unwrapped, make_vec(2, rule="sgd")):
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
    for env in (make(), make_vec(2)):
        env.reset(seed=0)
        with pytest.raises(ValueError, match=match):
            env.reset(options=options)
        env.step(np.zeros(env.action_space.shape, np.float32))


def test_tasks_of_a_vector(unchecked):
    envs, env = make_vec(2), make()
    both = np.stack([env.reset(options={"task": n})[0] for n in (4, 9)])
    assert np.allclose(envs.reset(options={"task": [4, 9]})[0], both, atol=1e-6)
    assert np.allclose(envs.reset(options={"task": 4})[0], both[[0, 0]], atol=1e-6)
    with pytest.raises(ValueError, match="`task` must be a whole number or 2 of them"):
        envs.reset(options={"task": [1, 2, 3]})
    with pytest.raises(ValueError, match="`seed` must be a whole number or 2 of them"):
        envs.reset(seed=[1])
