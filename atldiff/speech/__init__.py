"""From speech to landmarks (Sec. 2.1)."""
