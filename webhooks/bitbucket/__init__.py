"""Bitbucket Cloud: its webhooks (`parse`) and its build statuses (`client`)."""
