"""Google Gemini Developer API: a batch is made from an uploaded file (large) or inside the create call (small)."""
