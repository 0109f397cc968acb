"""A trained policy behind a small local service: observation in, chunk out, an episode a session.

`from embodied.serve.client import PolicyClient` needs NumPy alone: what robots and simulators import.
"""
