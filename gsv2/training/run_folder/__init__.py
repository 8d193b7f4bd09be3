"""Files of a run's folder beside its checkpoints: records, status, lock."""
