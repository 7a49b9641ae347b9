"""Finished frames from priors and residuals, by tensors on the network's device."""
