"""The simulator process: real habitat-sim behind a small protocol.

Everything in this package runs under the simulator's own interpreter (Python 3.9 or later, NumPy 1) and imports only
the standard library, numpy, habitat_sim, magnum and habitat-lab. `protocol.py` alone is shared with the client.
Start it through `launch.py`; it is never imported from the learning process.
"""
