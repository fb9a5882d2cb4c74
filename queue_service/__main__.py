"""``python -m queue_service``: run the broker, or what else its command line says."""

import sys

from queue_service.command_line import main

if __name__ == "__main__":
    sys.exit(main())
