"""``python -m signup_service``: run the service, or what else its command line says."""

import sys

from signup_service.command_line import main

if __name__ == "__main__":
    sys.exit(main())
