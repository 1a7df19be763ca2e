"""GitLab: its webhooks (`parse`) and its commit statuses (`client`)."""
