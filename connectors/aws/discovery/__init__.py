"""What Lambda functions use, found out by reading alone: what `replicator init` writes a config from."""
