"""What a person sees of a run: figures, samples, progress, trackers."""
