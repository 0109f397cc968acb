"""Studies: many small trainings over a grid of policies, tasks and seeds, and the table that comes of them."""
