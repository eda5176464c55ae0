"""The words of this project as values and pure rules: no clock, no disk, no network."""
