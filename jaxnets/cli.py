"""The command `jaxnets`: what can be done with what was trained.

Each subcommand is an entry of COMMANDS: a sentence, a function that adds its arguments,
and the function that runs it. What they need is imported when they run, so that
`jaxnets --help` is there at once.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxnets import __version__
from jaxnets.errors import InputError, ProcessFailed
from jaxnets.files import absolute

FORMATS = ("safetensors", "keras", "stablehlo", "onnx")  # of `jaxnets.export`
INTERRUPTED = 130  # the shell's code for a program that Ctrl-C ended


class Command(NamedTuple):
    """A subcommand."""

    help: str  # a sentence
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]  # raises InputError for what is wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code.

    0 done, 1 bad input or a failed write, 2 a wrong command line, 130 Ctrl-C.
    """
    options = make_parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what it cannot encode is escaped
            stream.reconfigure(errors="backslashreplace")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow loads
    try:
        COMMANDS[options.command].run(options)
        sys.stdout.flush()  # so that a reader who has gone is noticed here
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}")
    except (InputError, ProcessFailed) as error:
        return _fail(str(error))
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="jaxnets", description="Use the networks that an experiment has trained."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.help, description=command.help)
        command.add_arguments(one)
    return parser


def _fail(message: str, code: int = 1) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)
    return code


def add_run(parser: argparse.ArgumentParser) -> None:
    """The argument that most commands begin with."""
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="folder of a run, or a file of weights"
    )


def _add_predict(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help="PNG, JPEG, GIF, BMP, TIFF, WebP, AVIF; HEIC with pillow-heif",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a list of answers as JSON"
    )
    parser.add_argument(
        "--show",
        type=Path,
        metavar="FILE.png",
        help="draw the pictures and what the networks saw of them",
    )
    parser.add_argument(
        "--single",
        action="store_true",
        help="a picture holds one digit, however many parts it has",
    )


def _predict(options: argparse.Namespace) -> None:
    from jaxnets import answers, trained

    if options.show is not None and options.show.suffix.lower() != ".png":
        raise InputError(f"--show {options.show} must end with .png")
    shown = options.show and _output(options.show)
    if shown in map(absolute, options.pictures):
        raise InputError(f"--show {options.show} is one of the pictures to be read")
    networks = trained.load_networks(options.run)
    readings = answers.read_pictures(networks, options.pictures, single=options.single)
    if shown:
        from jaxnets import show

        show.write(shown, readings)
    if options.json:
        print(json.dumps(answers.entries(readings, networks), indent=2))
    else:
        print("\n".join(answers.in_words(readings, networks)))


def _add_export(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("model", metavar="MODEL", help="one of the run's networks")
    parser.add_argument("format", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="by default MODEL.FORMAT, here"
    )


def _export(options: argparse.Namespace) -> None:
    from jaxnets import export, trained

    if options.format not in FORMATS:
        raise InputError(
            f"unknown format {options.format!r}; known: {', '.join(FORMATS)}"
        )
    network = trained.load_networks(options.run).choose(options.model)
    file = _output(options.output or Path(f"{network.name}.{options.format}"))
    export.write(network, options.format, file)
    print(f"{network.name} is in {file}")


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.keras", help="a model that Keras saved")
    parser.add_argument("output", type=Path, metavar="FILE.npz", help="to be written")
    parser.add_argument(
        "--labels", nargs="+", metavar="NAME", help="the classes' names, in their order"
    )


def _import(options: argparse.Namespace) -> None:
    from jaxnets import keras_file, trained

    if options.output.suffix != ".npz":
        raise InputError(f"{options.output} must end with .npz")
    file = _output(options.output)
    network = keras_file.read(options.file, labels=options.labels)
    trained.write(file, network)
    sizes = "-".join(map(str, network.layer_sizes))
    print(f"{options.file}, a network of {sizes}, is in {file}; use it as a RUN")


def _add_draw(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="by default draw.html in the run"
    )
    parser.add_argument(
        "--float32",
        action="store_true",
        help="keep weights to the last bit, in twice the space",
    )


def _draw(options: argparse.Namespace) -> None:
    from jaxnets import draw, trained

    file = draw.place(options.run, options.output)
    networks = trained.load_networks(options.run)
    test = None
    if absolute(options.run).is_dir():
        try:
            test = draw.load_test(options.run)
        except InputError as error:
            print(f"The page has no test images. {error}", file=sys.stderr)
    draw.write(options.run, file, test=test, float32=options.float32)
    print(f"{', '.join(networks)}: open {file} in a browser")


def _output(file: Path) -> Path:
    """A file to write, from the root; InputError where its folder is not there."""
    path = absolute(file)
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent} for {path.name}")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    return path


COMMANDS: dict[str, Command] = {
    "predict": Command(
        "Say what the digits of pictures are, by every network of a run.",
        _add_predict,
        _predict,
    ),
    "draw": Command(
        "Write a page to draw on, where every network of a run answers.",
        _add_draw,
        _draw,
    ),
    "export": Command(
        "Write a network of a run as a file for another tool.", _add_export, _export
    ),
    "import": Command(
        "Make a file of weights of a network that Keras trained.", _add_import, _import
    ),
}
