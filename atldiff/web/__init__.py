"""The page and its API: layout, events, texts and serving."""
