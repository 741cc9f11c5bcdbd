"""A step of gradient descent in numpy learns digits: python examples/descent.py

You are the rule, and see the exact gradient of every synapse. The same rule under `live`,
in the same world, has the same losses.
"""

import gymnasium
import jax
import numpy as np

import plasticgym as pg


def main(rate=0.5, task=0):
    env = gymnasium.make("plasticgym/Digits-v0", tier="gradient", unit=1.0)
    seen, _ = env.reset(options={"task": task})
    rewards, over, info = [], False, {}
    while not over:
        gradient = seen[:, -1]  # the last column of `tier="gradient"`
        seen, reward, over, _, info = env.step(np.clip(-rate * gradient, -1, 1))
        rewards.append(reward)

    problem = env.unwrapped.role.problem
    life = pg.envs.live(pg.rules.SGD(rate=rate), problem, key=jax.random.key(task))
    paid = np.log([problem.chance.loss + 0.01, *(life.losses[1:] + 0.01)])
    gap = np.abs(np.array(rewards[:-1]) - (paid[:-1] - paid[1:])).max()
    score = float(life.tests.score[-1])
    print(f"validation score {info['score']:.4f}, that of `live` {score:.4f}")
    print(f"largest difference of rewards {gap:.1e}")
    return info["score"], score, gap


if __name__ == "__main__":
    main()
