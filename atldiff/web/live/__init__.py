"""The page's tab Live: a portrait that answers at once, by WebRTC."""
