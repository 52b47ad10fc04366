"""The API server, one namespace of it: implements `controller.reconciler.Cluster` with the official client.

Speaks dicts only: of the client it takes credentials, TLS and HTTP, never a model class. Refuses what is not in the
table of kinds (no Secret can be read), so that the rights the controller needs follow from that table.

Nothing is imported here: a command (`person`) starts sooner without the controller's half (`cluster`).
"""
