"""OpenAI: a JSONL file is uploaded, a batch is created from it, answers come in an output and an error file."""
