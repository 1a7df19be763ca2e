"""Who makes pipelines durable: the engine and everything that a Staunch host runs, but no jobs.

engine/ (use cases over ports) · tenant/ (sandboxed plans) · adapters/ (the world) · api, web, cli.
"""
