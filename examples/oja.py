"""Oja's rule in numpy finds the first principal component: python examples/oja.py

You are the rule: an observation has a row per synapse, an action says by how much each one
changes. The network is a single layer of linear neurons that see 13 measurements of wines.
Oja, "A simplified neuron model as a principal component analyzer", 1982.
"""

import gymnasium
import numpy as np

import plasticgym  # noqa: F401  (for the ids)


def main(rate=0.01, presentations=400):
    env = gymnasium.make("plasticgym/Wine-v0", hidden=(), presentations=presentations, unit=1.0)
    seen, _ = env.reset(seed=0)
    over = False
    while not over:
        weight, _, _, pre_post, post_squared = seen.T  # the columns of `tier="activity"`
        change = rate * (pre_post - post_squared * weight)
        seen, _, over, _, _ = env.step(np.clip(change, -1, 1))

    weights = seen[:, 0].reshape(14, 3)[:-1]  # a column per neuron; the last row are biases
    problem = env.unwrapped.role.problem
    inputs = np.asarray((problem.train.inputs - problem.mean) / problem.deviation)
    component = np.linalg.eigh(inputs.T @ inputs)[1][:, -1]
    cosines = np.abs(component @ weights) / np.linalg.norm(weights, axis=0)
    print("lengths", np.linalg.norm(weights, axis=0).round(3))
    print("cosines to the first principal component", cosines.round(4))
    return cosines


if __name__ == "__main__":
    main()
