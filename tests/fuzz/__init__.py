"""Hostile input for the emulator's dialects, held against their descriptions in `batchmark/emulator/openapi`."""
