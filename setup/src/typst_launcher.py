#!@PYTHON@ -IS
"""Gives the Typst package of PyPI the interface of `typst compile`, as far as the report uses it."""

import argparse
import os
import re
import sys

TOOLS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, os.path.join(TOOLS, "@PACKAGE@"))
import typst  # noqa: E402


def in_format(diagnostics, style):
    """`human` is what the package writes; `short` is one line per message, `file:line:column: severity: text`."""
    if style == "human":
        return diagnostics.rstrip("\n") + "\n\n"
    pattern = r"^(error|warning|help): (.*)\n(?:\s*┌─ (.*)\n)?"
    found = re.findall(pattern, diagnostics, re.MULTILINE)
    return "".join(f"{place + ': ' if place else ''}{severity}: {text}\n" for severity, text, place in found)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message}; this is a launcher, and it knows only what `typst compile --help` lists\n")


def arguments():
    parser = Parser(prog="typst", allow_abbrev=False)
    parser.add_argument("-V", "--version", action="version", version=f"typst {typst.__version__}")
    compile_ = parser.add_subparsers(required=True, metavar="compile").add_parser("compile", aliases=["c"], allow_abbrev=False)
    compile_.add_argument("input")
    compile_.add_argument("output", nargs="?")
    compile_.add_argument("--root", default=os.environ.get("TYPST_ROOT"))
    compile_.add_argument("--font-path", action="append", default=[])
    compile_.add_argument("--ignore-system-fonts", action="store_true")
    compile_.add_argument("--input", action="append", default=[], dest="inputs", metavar="KEY=VALUE")
    compile_.add_argument("--format", "-f", choices=["pdf", "html"])
    compile_.add_argument("--features", action="append", default=[], help="the package has every feature switched on")
    compile_.add_argument("--pdf-standard", action="append", default=[])
    compile_.add_argument("--creation-timestamp", type=int, default=os.environ.get("SOURCE_DATE_EPOCH"))
    compile_.add_argument("--diagnostic-format", choices=["human", "short"], default="human")
    options = parser.parse_args()
    if any("=" not in pair for pair in options.inputs):
        compile_.error("argument --input: must be a key and a value, separated by `=`")
    options.format = options.format or ("html" if (options.output or "").endswith(".html") else "pdf")
    return options


def main():
    sys.stderr.reconfigure(encoding="utf-8")
    options = arguments()
    if not os.path.isfile(options.input):
        sys.exit(f"error: input file not found (searched at {options.input})")
    try:
        document, warnings = typst.compile_with_warnings(
            options.input,
            root=options.root or os.path.dirname(os.path.abspath(options.input)),
            format=options.format,
            font_paths=options.font_path,
            ignore_system_fonts=options.ignore_system_fonts,
            sys_inputs=dict(pair.split("=", 1) for pair in options.inputs),
            pdf_standards=[name for names in options.pdf_standard for name in names.split(",")],
            timestamp=options.creation_timestamp,
        )
        for warning in warnings:
            sys.stderr.write(in_format(warning.diagnostic, options.diagnostic_format))
        with open(options.output or os.path.splitext(options.input)[0] + "." + options.format, "wb") as file:
            file.write(document)
    except typst.TypstError as error:
        sys.stderr.write(in_format(error.diagnostic, options.diagnostic_format))
        sys.exit(1)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    # The package has kept all that it laid out, for a next time that there will not be; to free it takes a tenth of a second.
    sys.stderr.flush()
    os._exit(0)


main()
