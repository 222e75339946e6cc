"""The leaderboard: methods on one fixed set of measurements, from records that are committed."""
