"""Composites frames from priors and residuals, on the CPU."""
