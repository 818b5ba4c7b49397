"""`python -m tasker`, the same as the command `tasker`."""

import sys

from tasker.cli import main

sys.exit(main())
