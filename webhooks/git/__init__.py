"""Plain git: a bare repository whose post-receive hook tells us about pushes. No statuses."""
