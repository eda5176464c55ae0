"""A local Batch API cloud: OpenAI's, Anthropic's and Google's protocols on one loopback port, for unmodified SDKs.

Importing this package is cheap; the server's own packages load when it starts.
"""

from batchmark.emulator.server import Emulator, EmulatorError, EmulatorOptions

__all__ = ["Emulator", "EmulatorError", "EmulatorOptions"]
