"""Bitbucket Data Center and Server: webhooks (`parse`) and build statuses (`client`)."""
