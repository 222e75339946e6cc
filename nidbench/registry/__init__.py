"""The registry: methods, datasets and kernel sets by name, and the grammar of method specifications."""
