"""The pages: what the API knows, rendered on the server for people. No rule of the host is here."""
