"""Storage of files wherever they lie: local folders, HTTP, object stores, shell commands."""
