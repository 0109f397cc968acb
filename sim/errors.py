"""What can go wrong between the learning process and a simulator, one class a remedy."""


class SimulatorError(RuntimeError):
    """Base of all errors of a simulator worker; the message is one line that says what to do."""


class TaskError(SimulatorError):
    """The user's scene, episode file, sensor or config is wrong. Restarting would not help."""


class WorkerDied(SimulatorError):
    """A worker died and could not be replaced, or kept dying on one scene."""


class WorkerTimeout(SimulatorError):
    """A worker did not answer within its deadline."""
