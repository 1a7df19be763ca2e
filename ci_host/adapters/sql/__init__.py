"""The read model: what pages and lists show, folded from JetStream into SQL. Never the truth."""
