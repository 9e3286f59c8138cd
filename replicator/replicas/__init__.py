"""Several replicas of one migration: one leads, the others run partitions for it and take over when it is gone."""
