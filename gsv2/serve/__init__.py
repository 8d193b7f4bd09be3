"""HTTP server that speaks with a bundle, as clients of OpenAI's speech interface expect it."""
