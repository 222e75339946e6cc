"""Metrics, the protocols that say what is compared, and what else is measured of a restoration."""
