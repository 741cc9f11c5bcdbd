"""Gymnasium's own recorder writes films of networks as they learn."""

import gymnasium
import pytest

import plasticgym as pg  # noqa: F401

pytest.importorskip("moviepy")
pytestmark = pytest.mark.adapters


@pytest.mark.parametrize("options", [{}, {"rule": "blur"}], ids=["rule", "steer"])
def test_record_video(tmp_path, options):
    from moviepy import VideoFileClip

    if options:
        options = options | {"presentations_per_action": 1}
    env = gymnasium.make(
        "plasticgym/Moons-v0", render_mode="rgb_array", presentations=10, **options
    )
    env = gymnasium.wrappers.RecordVideo(
        env, str(tmp_path / "films"), episode_trigger=lambda n: True
    )
    for episode in range(2):
        env.reset(seed=episode)
        over, steps = False, 0
        while not over:
            *_, over, _, _ = env.step(env.action_space.sample())
            steps += 1
    env.close()
    films = sorted((tmp_path / "films").glob("*.mp4"))
    assert len(films) == 2
    with VideoFileClip(str(films[0])) as film:
        assert film.size == [840, 480]
        assert film.fps == env.metadata["render_fps"]
        # One before the first step; moviepy may leave the last one out.
        assert steps <= round(film.duration * film.fps) <= steps + 1
        first, last = film.get_frame(0), film.get_frame(film.duration - 0.05)
    assert (first.astype(int) - last).std() > 10
