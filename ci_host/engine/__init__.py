"""Use cases over ports: nothing here knows NATS, SQL, wasmtime or a forge's name."""
