"""A comparison for people: one content model, rendered for the terminal, as HTML and as JSON."""
