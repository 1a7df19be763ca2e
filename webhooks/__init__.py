"""Where events come from and statuses go: the Forge port, and one folder for each forge.

Takes webhooks in (verify, record, 202; nothing else), parses them into `pipelines.event.Event`,
and tells forges about commits. It knows no engine, no bus and no store.
"""
