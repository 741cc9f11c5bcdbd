"""Pictures of networks as they learn: what they show, and where they show it."""

import itertools
import sys

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import plasticgym as pg
from plasticgym.envs._panels import CLASSES, ceiling
from plasticgym.envs._picture import Picture
from plasticgym.envs._render import RENDER_MODES, Renderer
from plasticgym.envs._role import transition
from plasticgym.envs._scene import Plane, Points, Scene, _beliefs, look

SMALL = {"hidden": (4,), "batch": 8, "presentations": 3}
SHAPE = (480, 840, 3)


def steering(rule, problem="moons", **options):
    problem = pg.envs.plane(problem, **SMALL | options)
    return pg.envs.Steering(problem, rule, presentations_per_action=1)


def episodes(role, actions, seed=0):
    """An episode from its beginning on, with the action that led to each moment."""
    act = eqx.filter_jit(transition)
    episode = role.begin(key=jax.random.key(seed))
    yield episode, np.zeros(role.acted, np.float32)
    for action in actions:
        episode = act(role, episode, jnp.asarray(action))[0]
        yield episode, action


def random_actions(role, number, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (number, *role.acted)).astype(np.float32)


def frames(role, seed=0):
    """The pictures of one life, drawn by one renderer."""
    renderer, drawn = Renderer(role, "rgb_array"), []
    actions = random_actions(role, min(3, role.actions))
    for number, (episode, action) in enumerate(episodes(role, actions, seed)):
        if number == 0:
            renderer.begin(episode)
        else:
            renderer.follow(episode, action)
        drawn.append(renderer.draw())
    return drawn


def scene(**changes):
    """Two neurons and two classes, nothing learned yet."""
    stacks = {"weight": [np.zeros((1, 3, 2))]}
    told = {
        "time": 0,
        "last": 4,
        "chance": (0.7, 0.5),
        "curve": np.array([[0.0, 0.7, 0.5]]),
        "synapses": stacks,
        "neurons": {"activity": [np.zeros((1, 2, 5)), np.zeros((1, 2, 5))]},
        "plane": None,
        "diverged": False,
    }
    return Scene(**told | changes)


def patch(pixels, x, y, size=2):
    """The mean colour around a point, counted from the top left corner."""
    return pixels[y - size : y + size, x - size : x + size].reshape(-1, 3).mean(0)


def is_red(colour):
    return colour[0] > colour[2] + 60


def is_blue(colour):
    return colour[2] > colour[0] + 60


@pytest.mark.slow
@pytest.mark.parametrize("name", list(pg.rules.RULES))
def test_every_rule_can_be_looked_at(name, home):
    rule = pg.rules.make(name)
    memory = pg.envs.remember(bits=4, stored=2, delay=1, hidden=0)
    moons = pg.envs.plane("moons", **SMALL)
    problem = home(rule, layered=moons, recurrent=memory)
    drawn = frames(pg.envs.Steering(problem, rule, presentations_per_action=1))
    assert all(frame.shape == SHAPE and frame.dtype == np.uint8 for frame in drawn)
    assert all((a != b).any() for a, b in itertools.pairwise(drawn))
    assert not any(np.shares_memory(a, b) for a, b in itertools.pairwise(drawn))


@pytest.mark.slow
@pytest.mark.parametrize(
    "role",
    [
        lambda: pg.envs.Synapses(pg.envs.plane("xor", **SMALL)),
        lambda: pg.envs.Synapses(pg.envs.wine(**SMALL), tier="gradient"),
        lambda: pg.envs.Steering(pg.envs.digits(**SMALL | {"hidden": ()}), pg.rules.SGD()),
        lambda: steering(pg.rules.SGD(), hidden=(4, 3, 2, 3)),
    ],
    ids=["rule", "rule, no plane", "one step, no hidden layer", "deep"],
)
def test_every_role_can_be_looked_at(role):
    drawn = frames(role())
    assert drawn[-1].shape == SHAPE
    assert (drawn[0] != drawn[-1]).any()


def test_nothing_of_earlier_pictures_is_left():
    role = steering(pg.rules.make("blur"))
    renderer, moments = Renderer(role, "rgb_array"), []
    for seed in (0, 1):
        for number, moment in enumerate(episodes(role, random_actions(role, 3), seed)):
            renderer.begin(moment[0]) if number == 0 else renderer.follow(*moment)
            used = renderer.draw()
            moments.append(moment)
    fresh = Renderer(role, "rgb_array")
    fresh.begin(moments[4][0])
    for moment in moments[5:]:
        fresh.follow(*moment)
    assert np.array_equal(used, fresh.draw())


def test_the_surface_is_what_the_network_will_say():
    """Of the points of the next presentation, of which its score tells."""
    role = steering(pg.rules.make("blur", genome="shipped"), batch=64, view="rotated")
    seen = list(episodes(role, 0.02 * random_actions(role, 3)))  # a wild genome diverges
    for (episode, _), (after, action) in itertools.pairwise(seen):
        rows = episode.life.world.order[episode.life.world.time]
        train = role.problem.train
        beliefs = _beliefs(role, episode, jnp.asarray(action), train.inputs[rows])
        assert np.allclose(beliefs.sum(1), 1, atol=1e-5)
        right = beliefs.argmax(1) == train.classes[rows].astype(int)
        assert np.isclose(right.mean(), after.progress.score, atol=1e-6)
        losses = -np.log(np.asarray(beliefs)[np.arange(64), np.asarray(train.classes[rows])])
        assert np.isclose(losses.mean(), after.progress.loss, atol=1e-4)


def test_what_there_is_to_see():
    role = steering(pg.rules.Adam())
    *_, (episode, action) = episodes(role, random_actions(role, 2))
    seen = look(role, episode, action, [(0, 0.7, 0.5), (1, 0.6, 0.6), (2, 0.5, 0.7)])
    state, world = episode.life.state, episode.life.world
    assert (seen.time, seen.last, seen.diverged) == (2, 3, False)
    assert list(seen.synapses) == ["mean", "square", "weight"]
    assert np.array_equal(seen.synapses["weight"][0][0], state.synapses[0]["weight"])
    rows = np.asarray(world.order[1])
    classes = np.asarray(role.problem.train.classes)[rows]
    activity = seen.neurons["activity"][1][0]
    assert activity.shape == (4, 8)
    for label in (0, 1):  # sorted by class: the blocks hold the same columns
        mine = np.sort(classes) == label
        theirs = np.asarray(state.neurons[1]["activity"])[classes == label].T
        assert np.array_equal(activity[:, mine], theirs)
    assert np.array_equal(seen.plane.batch.classes, classes)
    assert np.array_equal(seen.plane.batch.inputs, np.asarray(role.problem.train.inputs)[rows])
    left, right, bottom, top = seen.plane.box
    inputs = np.asarray(role.problem.train.inputs)
    assert (inputs > [left, bottom]).all()
    assert (inputs < [right, top]).all()


def test_states_become_tiles():
    role = steering(pg.rules.make("blur", genome="shipped"))
    ((episode, action),) = episodes(role, [])
    seen = look(role, episode, action, [(0, 0.7, 0.5)])
    forward = episode.life.state.synapses[0]["forward"]
    assert np.array_equal(seen.synapses["forward"][0], forward[:4])


def test_the_curve_is_what_was_paid_for():
    role = steering(pg.rules.SGD())
    renderer = Renderer(role, "rgb_array")
    for _ in range(2):  # the second life begins a new curve
        told = []
        for number, (episode, action) in enumerate(episodes(role, random_actions(role, 3))):
            renderer.begin(episode) if number == 0 else renderer.follow(episode, action)
            progress = episode.progress
            told.append((number, float(progress.loss), float(progress.score)))
    assert renderer._curve == told


def test_the_surface_stands_upright():
    """Class 1 is believed in where x and y are high."""
    beliefs = np.zeros((8, 8, 2))
    beliefs[..., 0] = 1
    beliefs[4:, 4:] = [0, 1]
    none = Points(np.zeros((0, 2)), np.zeros(0, np.uint8))
    plane = Plane(beliefs, (-1, 1, -1, 1), none, none)
    pixels = Picture().draw(scene(plane=plane))
    left, top, size = 30, 84, 250  # of the panel
    low, high = int(0.25 * size), int(0.75 * size)
    assert is_red(patch(pixels, left + high, top + low))
    for x, y in ((low, low), (low, high), (high, high)):
        assert is_blue(patch(pixels, left + x, top + y))


def test_points_stand_where_they_are():
    beliefs = np.full((8, 8, 2), 0.5)
    none = Points(np.zeros((0, 2)), np.zeros(0, np.uint8))
    one = Points(np.array([[0.5, -0.5]]), np.ones(1, np.uint8))
    pixels = Picture().draw(scene(plane=Plane(beliefs, (-1, 1, -1, 1), none, one)))
    expected = [int(CLASSES[1][i : i + 2], 16) for i in (1, 3, 5)]
    assert np.allclose(patch(pixels, 30 + 188, 84 + 188), expected, atol=3)
    assert np.allclose(patch(pixels, 30 + 62, 84 + 62), 255, atol=3)


def test_rows_are_sources_and_columns_destinations():
    weights = np.zeros((1, 3, 2))
    weights[0, 0, 1], weights[0, 2, 0] = 1.0, -1.0
    panel = Picture().draw(scene(synapses={"weight": [weights]}))[84:334, 30:280]
    assert is_red(patch(panel, 187, 40))
    assert is_blue(patch(panel, 62, 208))
    assert np.allclose(patch(panel, 62, 40), 255)
    assert np.allclose(patch(panel, 187, 208), 255)


def test_tiles_stand_side_by_side_in_their_order():
    tall, wide = np.zeros((2, 9, 2)), np.zeros((2, 2, 9))
    tall[0], wide[0] = 1.0, 1.0
    pixels = Picture().draw(scene(synapses={"weight": [tall, wide]}))[84:334, 30:400]
    assert is_red(patch(pixels, 30, 125))
    assert np.allclose(patch(pixels, 140, 125), 255)
    assert is_red(patch(pixels, 290, 60))
    assert np.allclose(patch(pixels, 290, 190), 255)


def test_what_is_not_finite_is_drawn():
    bad = {"weight": [np.full((1, 3, 2), np.nan), np.full((1, 3, 2), np.inf)]}
    none = Points(np.zeros((0, 2)), np.zeros(0, np.uint8))
    plane = Plane(np.full((8, 8, 2), np.nan), (-1, 1, -1, 1), none, none)
    good = Picture().draw(scene(plane=plane))
    told = Picture().draw(scene(synapses=bad, plane=plane, diverged=True))
    assert (good[:40, 600:] == 255).all()
    assert is_red(told[:40, 600:].reshape(-1, 3)[told[:40, 600:, 2].argmin()])


@pytest.mark.parametrize("loss", [0.9, 3.0, 7.0])
def test_a_high_loss_stays_in_its_panel(loss):
    curve = np.array([[0.0, 0.7, 0.5], [1.0, loss, 0.4]])
    picture = Picture()
    picture.draw(scene())
    pixels = picture.draw(scene(time=1, curve=curve))
    above = pixels[344:360, 90:300]  # between the images and the title
    assert (above == 255).all()


@pytest.mark.parametrize(
    ("size", "round_size"),
    [(0.0, 0.0), (1.0, 1.0), (1.01, 1.5), (0.021, 0.03), (8.0, 10.0), (99.0, 100.0)],
)
def test_scales_are_round(size, round_size):
    assert np.isclose(ceiling(size), round_size)
    assert ceiling(size) >= size


def test_an_unknown_mode():
    with pytest.raises(ValueError, match=r"`render_mode` must be None or one of .*'ansi'"):
        Renderer(steering(pg.rules.SGD()), "ansi")


def test_nothing_to_draw_yet():
    with pytest.raises(gymnasium.error.ResetNeeded, match="call `reset` first"):
        Renderer(steering(pg.rules.SGD()), "rgb_array").draw()


@pytest.mark.parametrize(
    ("library", "mode", "extra", "users"),
    [
        ("matplotlib", "rgb_array", "plot", ("_panels", "_picture")),
        ("pygame", "human", "render", ("_window",)),
    ],
)
def test_a_missing_library_is_named(monkeypatch, library, mode, extra, users):
    for module in users:
        monkeypatch.delitem(sys.modules, f"plasticgym.envs.{module}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(gymnasium.error.DependencyNotInstalled, match=f"plasticgym.{extra}"):
        Renderer(steering(pg.rules.SGD()), mode)


@pytest.fixture
def unseen(monkeypatch):
    """A screen that nobody looks at."""
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def test_a_window_shows_the_picture(unseen):
    import pygame

    role = steering(pg.rules.SGD())
    window, array = Renderer(role, "human"), Renderer(role, "rgb_array")
    ((episode, _),) = episodes(role, [])
    window.begin(episode)
    array.begin(episode)
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    assert np.array_equal(shown, array.draw())
    assert window.draw() is None
    window.close()
    window.close()
    assert not pygame.display.get_init()


def test_a_window_that_its_user_closes_stays_closed(unseen):
    import pygame

    role = steering(pg.rules.SGD())
    renderer = Renderer(role, "human")
    for number, (episode, action) in enumerate(episodes(role, random_actions(role, 3))):
        renderer.begin(episode) if number == 0 else renderer.follow(episode, action)
        if number == 0:
            pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert not pygame.display.get_init()
    renderer.close()


def test_windows_share_the_display_until_the_last_is_closed(unseen):
    import pygame

    role = steering(pg.rules.SGD())
    first, second = Renderer(role, "human"), Renderer(role, "human")
    ((episode, _),) = episodes(role, [])
    for renderer in (first, second):
        renderer.begin(episode)
    first.close()
    second.draw()
    assert pygame.display.get_init()
    second.close()
    assert not pygame.display.get_init()


def test_no_display(unseen, monkeypatch):
    monkeypatch.delenv("SDL_VIDEODRIVER")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    role = steering(pg.rules.SGD())
    renderer = Renderer(role, "human")
    with pytest.warns(UserWarning, match=r'needs a display.*"rgb_array"'):
        renderer.begin(role.begin(key=jax.random.key(0)))
    renderer.close()


def make(**options):
    return gymnasium.make("plasticgym/Moons-v0", **SMALL | options)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"rule": "blur"}], ids=["rule", "steer"])
@pytest.mark.parametrize("mode", RENDER_MODES)
def test_check_env(mode, options, unseen):
    env = make(render_mode=mode, **options)
    check_env(env.unwrapped)
    env.close()


def test_an_environment_can_be_looked_at_from_reset_to_end():
    env = make(render_mode="rgb_array", rule="sgd", presentations_per_action=1)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.unwrapped.render()
    env.reset(seed=0)
    drawn, over = [env.render()], False
    while not over:
        *_, over, _, _ = env.step(env.action_space.sample())
        drawn.append(env.render())
    assert len(drawn) == 4
    assert all((a != b).any() for a, b in itertools.pairwise(drawn))
    env.close()


def test_looking_changes_nothing():
    """Rewards and observations are those of an environment that nobody looks at."""
    seen = []
    for mode in (None, "rgb_array"):
        env = make(render_mode=mode, rule="sgd", presentations_per_action=1)
        env.reset(seed=0)
        action = np.full(env.action_space.shape, 0.2, np.float32)
        seen.append([])
        for _ in range(3):
            if mode:
                env.render()
            seen[-1].append(env.step(action)[:2])
    for (o, r), (o_, r_) in zip(*seen, strict=True):
        assert np.array_equal(o, o_)
        assert r == r_


def test_an_unknown_mode_of_an_environment():
    with pytest.raises(ValueError, match="`render_mode` must be None or one of"):
        pg.envs.LearningEnv("Moons-v0", rule="sgd", render_mode="ansi", **SMALL)
