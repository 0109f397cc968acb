"""The same checkpoint on a robot: ROS 2 nodes for policy, memory and safety, and a Habitat house as a robot."""
