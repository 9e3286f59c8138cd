"""The state store for several replicas: blobs in one container, each replaced on the condition of its ETag."""
