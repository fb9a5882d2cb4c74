"""``python -m signup_service``."""

import sys

from mesh import program
from signup_service import app
from signup_service.settings import SignupSettings

if __name__ == "__main__":
    sys.exit(program.run("signup_service", SignupSettings, app.build, lambda settings: settings.listen))
