"""`python main.py openai create`: the command from a checkout, without installing the package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

try:
    from batchmark.cli.main import main
except ModuleNotFoundError as missing:
    sys.exit(f"error: the package {missing.name} is missing\nhint: pip install -r requirements.txt")

if __name__ == "__main__":
    main()
