"""Start the email service: ``python -m email_service``."""

import sys

from email_service import app
from email_service.settings import EmailSettings
from mesh import program

if __name__ == "__main__":
    sys.exit(program.run("email_service", EmailSettings, app.build, app.listen))
