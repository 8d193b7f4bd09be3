"""Model hub: bundles as others publish models, with a config, a model card and a repository."""
