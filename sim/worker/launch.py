"""Entry point of a simulator worker: `SIM_PYTHON launch.py DESCRIPTOR`.

Loads this folder as the package `sim_worker` without putting the checkout (or the learning environment's site-packages)
on the simulator interpreter's path, so that the two environments cannot leak into each other.
"""

import importlib.util
import os
import sys


def load_package():
    """Imports the folder this file lies in under the name `sim_worker`."""
    folder = os.path.dirname(os.path.abspath(__file__))
    # Running a script puts its folder first on the path, where `server`, `tasks` ... would shadow other packages.
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != folder]
    spec = importlib.util.spec_from_file_location(
        "sim_worker", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["sim_worker"] = package
    spec.loader.exec_module(package)
    return package


if __name__ == "__main__":
    load_package()
    from sim_worker.server import main

    status = main(int(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # taking the interpreter and the graphics driver down in order takes longer than starting them
