"""Agents and their evaluation on long-horizon memory tasks (`sim.long_horizon`)."""
