"""What `tasker[EXTRA,…]` needs beside itself, a requirement a line: `python wanted.py EXTRA…`."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
if unknown := set(sys.argv[1:]) - extras.keys():
    sys.exit(f"tasker has no extra named {', '.join(sorted(unknown))}; there are {', '.join(extras)}")
print(*project["dependencies"], *(each for extra in sys.argv[1:] for each in extras[extra]), sep="\n")
