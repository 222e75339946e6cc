"""The forward model y = g(k * x) + n: arrays, kernels, noise, cameras, the blur and its adjoint."""
