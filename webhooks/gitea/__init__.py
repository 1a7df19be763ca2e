"""Gitea and Forgejo: their webhooks (`parse`) and their commit statuses (`client`)."""
