"""Policies: what to do, from what was seen. Torch modules that know nothing of the simulator."""
