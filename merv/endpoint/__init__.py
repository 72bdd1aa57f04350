"""Talking to OpenAI-compatible endpoints: one request, patience where they are busy, replies kept on disk."""
