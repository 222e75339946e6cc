"""What is registered by name: methods, datasets and kernel sets, and how methods are asked for."""
