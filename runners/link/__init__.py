"""How the agent reaches the rest of the platform: one module for each transport."""
