"""The provider protocols that the emulator speaks, one module each."""
