"""`python -m speechprompt`: the command line."""

import sys

from speechprompt.cli import main

sys.exit(main())
