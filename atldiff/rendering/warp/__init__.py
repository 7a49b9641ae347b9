"""The photo moved by its landmarks: the prior that the network's residual is added to."""
