"""Composites frames from priors and residuals, with tensors on the network's device."""
