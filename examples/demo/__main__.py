"""Show what the three ways to send a confirmation are worth; real services, real mail, nothing arranged to succeed."""

import argparse
import sys

from examples.demo.story import MANNERS, on_own_mesh, on_running_mesh, told
from mesh.settings import SettingsError
from stage import termination


async def run(*, mesh: bool, brisk: bool, lie: bool) -> int:
    """The whole demo; 0 when every claim holds, else 1."""
    async with (on_running_mesh if mesh else on_own_mesh)(MANNERS) as scene:
        if lie:
            scene.lie()
        holds = await told(scene, patient=not brisk)
        end = "Every claim holds" if holds else "Not every claim holds"
        scene.voice.say("")
        scene.voice.say(f"{end}; {scene.voice.seconds:.0f} s.")
        return int(not holds)


def main() -> int:
    """0 when every claim holds, 1 when one does not or something broke, 78 when a setting cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--mesh", action="store_true", help="on the mesh that the BATON_* settings name")
    parser.add_argument("--brisk", action="store_true", help="with shorter waits")
    parser.add_argument(
        "--lie", action="store_true", help="the mail server notes every mail twice; the demo must find it"
    )
    options = parser.parse_args()
    try:
        return termination.run(run(**vars(options)))
    except SettingsError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 78
    except (RuntimeError, TimeoutError) as error:
        print(f"the demo broke off: {error or 'something did not happen in time'}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
