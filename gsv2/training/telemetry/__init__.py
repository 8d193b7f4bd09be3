"""Telemetry of a run: metrics, samples, progress, trackers."""
