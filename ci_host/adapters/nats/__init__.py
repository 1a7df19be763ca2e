"""JetStream behind the ports, and the embedded nats-server. Subjects are in `subjects.py` only."""
