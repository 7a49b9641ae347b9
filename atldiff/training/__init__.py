"""What only trains; the pipeline never imports it."""
