"""The simulator's part of the long-horizon tasks: a house whose small objects are carried about and looked at."""
