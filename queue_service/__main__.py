"""``python -m queue_service``: run the broker."""

import sys

from mesh.program import run
from queue_service.app import build
from queue_service.settings import QueueSettings

if __name__ == "__main__":
    sys.exit(run("queue_service", QueueSettings, build, lambda settings: settings.listen))
