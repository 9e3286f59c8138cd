"""`replicator init`: from what Lambda functions use to a config, policies, and a list of what is not covered."""
