"""How a Job's steps are confined: one module for each way, strangers to each other."""
