"""Warps the photo by its landmarks: the prior to which the network's residual is added."""
