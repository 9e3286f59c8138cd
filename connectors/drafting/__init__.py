"""From what Lambda functions use to a config, policies for both clouds, and a list of what is not covered."""
