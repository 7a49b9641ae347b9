"""Trains the U-Net, its identity encoder and its critics."""
