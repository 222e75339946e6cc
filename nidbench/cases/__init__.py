"""From names to cases: datasets x images x kernels x noises, made here or given."""
