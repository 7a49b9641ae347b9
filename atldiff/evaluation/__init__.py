"""Measures of generated pictures, landmarks and motion. Generation does not need them."""
