"""From any photo to one face with its 68 landmarks."""
